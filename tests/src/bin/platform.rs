//! Both services in one program, `platform order …` and `platform inventory …`: what the tests run is what was built
//! with them.

use std::ffi::OsStr;
use std::io::Read as _;
use std::process::ExitCode;

use tests::service::LIFELINE;

const EXIT_USAGE: u8 = 64;
/// As of a process that was killed.
const EXIT_WITH_THE_TESTS: i32 = 137;

fn main() -> ExitCode {
    if std::env::var_os(LIFELINE).is_some() {
        std::thread::spawn(end_with_the_tests);
    }
    let mut arguments = std::env::args_os().skip(1);
    match arguments.next().as_deref().and_then(OsStr::to_str) {
        Some("order") => runtime::bootstrap::run::<order_svc::OrderService>(arguments),
        Some("inventory") => runtime::bootstrap::run::<inventory_svc::InventoryService>(arguments),
        Some(_) | None => {
            eprintln!("usage: platform order|inventory [what the service's own program takes]");
            ExitCode::from(EXIT_USAGE)
        }
    }
}

/// Standard input is a pipe from the tests into which nobody writes: reading ends when they do.
fn end_with_the_tests() {
    drop(std::io::stdin().read(&mut [0; 1]));
    std::process::exit(EXIT_WITH_THE_TESTS);
}
