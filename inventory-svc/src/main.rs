//! The inventory service as a program of its own.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    runtime::bootstrap::run::<inventory_svc::InventoryService>(std::env::args_os().skip(1))
}
