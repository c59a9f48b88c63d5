//! `orderctl serve …`: one service in this process, exactly as its own binary runs it.

use std::ffi::OsString;
use std::io::Read as _;
use std::process::ExitCode;

use clap::{Args, Subcommand};
use inventory_svc::InventoryService;
use order_svc::OrderService;

/// Set by `orderctl up` for its services: their standard input is a pipe from it, which breaks when it dies.
pub(crate) const STOP_WITH_PARENT: &str = "ORDERCTL_STOP_WITH_PARENT";

/// Run one service in this process, with settings from the environment
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orderctl serve order --help                  the service's own options and settings
  DATABASE_URL=postgres://… KAFKA_BOOTSTRAP_SERVERS=127.0.0.1:9092 orderctl serve inventory")]
pub(crate) struct ServeArguments {
    #[command(subcommand)]
    service: ServeCommand,
}

#[derive(Debug, Subcommand)]
enum ServeCommand {
    /// order-svc
    #[command(disable_help_flag = true, after_help = "Example:\n  orderctl serve order check-config")]
    Order(Passed),
    /// inventory-svc
    #[command(disable_help_flag = true, after_help = "Example:\n  orderctl serve inventory --config FILE")]
    Inventory(Passed),
}

#[derive(Debug, Args)]
struct Passed {
    /// What the service's own binary takes: --config FILE, check-config, healthcheck, --help
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, value_name = "ARGS")]
    arguments: Vec<OsString>,
}

/// The two services.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Part {
    /// order-svc
    Order,
    /// inventory-svc
    Inventory,
}

impl Part {
    /// The service's name.
    pub(crate) fn service(self) -> &'static str {
        match self {
            Self::Order => proto::topics::ORDER_SERVICE,
            Self::Inventory => proto::topics::INVENTORY_SERVICE,
        }
    }

    /// The word that `serve` takes.
    pub(crate) fn argument(self) -> &'static str {
        match self {
            Self::Order => "order",
            Self::Inventory => "inventory",
        }
    }
}

impl ServeArguments {
    /// Runs the service until it is told to stop, and returns its exit code: 78 for bad settings.
    pub(crate) fn run(self) -> ExitCode {
        if std::env::var_os(STOP_WITH_PARENT).is_some() {
            std::thread::spawn(stop_with_parent);
        }
        match self.service {
            ServeCommand::Order(passed) => runtime::bootstrap::run::<OrderService>(passed.arguments),
            ServeCommand::Inventory(passed) => runtime::bootstrap::run::<InventoryService>(passed.arguments),
        }
    }
}

/// Drains this process when the one that started it is gone: nobody would stop it otherwise.
fn stop_with_parent() {
    let mut nothing = [0; 1];
    // Nobody writes: this returns when the pipe breaks.
    let end = std::io::stdin().read(&mut nothing);
    if !matches!(end, Ok(0)) {
        return;
    }
    if let Err(error) = rustix::process::kill_process(rustix::process::getpid(), rustix::process::Signal::TERM) {
        eprintln!("this process can't end itself after its parent has: {error}");
    }
}
