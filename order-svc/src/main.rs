//! The order service as a program of its own.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runtime::bootstrap::run::<order_svc::OrderService>(std::env::args_os().skip(1))
}
