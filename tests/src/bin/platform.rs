//! Both services in one program, `platform order …` and `platform inventory …`: what the tests run is what was built
//! with them.

use std::ffi::OsStr;
use std::process::ExitCode;

const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    tests::lifeline::hold();
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
