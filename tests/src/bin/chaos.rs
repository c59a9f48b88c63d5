//! Faults under load for as long as one likes, then an audit. See `--help`.

use std::ffi::OsStr;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use tests::chaos::fault::Kind;
use tests::chaos::{self, Options};

/// Kills, freezes and cuts off services and servers under load, then checks that every promise was kept.
///
/// Exits with 0 when no rule is broken, with 1 when one is or the run could not be done.
#[derive(Debug, Parser)]
#[command(after_help = "\
Examples:
  cargo run -p tests --bin chaos -- --seed 7 --minutes 5
  cargo run --release -p tests --bin chaos -- --faults kill-order,kill-inventory,kill-kafka --most 100 --minutes 60")]
struct Arguments {
    /// Makes the same faults in the same order again [default: a new one, printed]
    #[arg(long)]
    seed: Option<u64>,
    /// No fault begins after this
    #[arg(long, default_value_t = 5, value_name = "M")]
    minutes: u64,
    /// No more faults than this
    #[arg(long, default_value_t = usize::MAX, hide_default_value = true, value_name = "N")]
    most: usize,
    /// Kinds of faults, of kill-order, kill-inventory, kill-kafka, kill-postgres, freeze, crash, network, poison
    #[arg(long, value_delimiter = ',', value_name = "KIND", value_parser = kind, default_values = all())]
    faults: Vec<Kind>,
    /// How long a killed broker stays away, in seconds [default: up to 2]
    #[arg(long, value_name = "S")]
    kafka_away: Option<u64>,
    /// Callers at the same time
    #[arg(long, default_value_t = 16, value_name = "N")]
    callers: usize,
    /// Replicas of each service
    #[arg(long, default_value_t = 2, value_name = "N", value_parser = clap::value_parser!(u8).range(1..=5))]
    replicas: u8,
    /// Seconds over which throughput is measured from the healing of a fault on
    #[arg(long, default_value_t = 10, value_name = "S")]
    after: u64,
    /// Seconds before a fault that it is compared with
    #[arg(long, default_value_t = 5, value_name = "S")]
    before: u64,
}

fn kind(name: &str) -> Result<Kind, String> {
    let known = Kind::ALL.into_iter().find(|(known, _)| *known == name);
    known.map(|(_, kind)| kind).ok_or_else(|| format!("no such kind; there are {}", all().join(", ")))
}

fn all() -> Vec<&'static str> {
    Kind::ALL.into_iter().map(|(name, _)| name).collect()
}

/// As in the programs of the services.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    tests::lifeline::hold();
    let mut arguments = std::env::args_os().skip(1).peekable();
    // The services run from this same file: what suffers is what was built.
    match arguments.peek().and_then(|argument| OsStr::to_str(argument)) {
        Some("order") => runtime::bootstrap::run::<order_svc::OrderService>(arguments.skip(1)),
        Some("inventory") => runtime::bootstrap::run::<inventory_svc::InventoryService>(arguments.skip(1)),
        Some(_) | None => match run(Arguments::parse()) {
            Ok(code) => code,
            Err(error) => {
                eprintln!("error: {error:#}");
                ExitCode::FAILURE
            }
        },
    }
}

fn run(arguments: Arguments) -> anyhow::Result<ExitCode> {
    let seed = arguments.seed.unwrap_or_else(rand::random);
    println!("seed {seed}");
    let options = Options {
        seed,
        duration: Duration::from_secs(arguments.minutes * 60),
        most_faults: arguments.most,
        kinds: arguments.faults,
        kafka_away: arguments.kafka_away.map(Duration::from_secs),
        callers: arguments.callers,
        replicas: usize::from(arguments.replicas),
        after: Duration::from_secs(arguments.after),
        before: Duration::from_secs(arguments.before),
    };
    let program = std::env::current_exe().context("this program can't find its own file")?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
    runtime.block_on(async {
        tokio::select! {
            report = chaos::run(&program, &options, |line| println!("{line}")) => {
                let report = report?;
                println!("\n{report}");
                Ok(if report.findings.is_empty() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
            }
            // What is dropped here takes its processes along.
            _ = tokio::signal::ctrl_c() => Ok(ExitCode::from(130)),
        }
    })
}
