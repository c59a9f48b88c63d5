//! Both services and the command line in one program, `platform order …`, `platform inventory …` and
//! `platform orderctl …`: what the tests run is what was built with them.

use std::ffi::{OsStr, OsString};
use std::process::ExitCode;

const EXIT_USAGE: u8 = 64;

fn main() -> ExitCode {
    tests::lifeline::hold();
    let mut arguments = std::env::args_os().skip(1).peekable();
    match arguments.peek().map(OsString::as_os_str).and_then(OsStr::to_str) {
        Some("order") => runtime::bootstrap::run::<order_svc::OrderService>(arguments.skip(1)),
        Some("inventory") => runtime::bootstrap::run::<inventory_svc::InventoryService>(arguments.skip(1)),
        Some("orderctl") => orderctl::main(arguments),
        Some(_) | None => {
            eprintln!("usage: platform order|inventory|orderctl [what the program of that name takes]");
            ExitCode::from(EXIT_USAGE)
        }
    }
}
