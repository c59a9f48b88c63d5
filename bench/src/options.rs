use clap::{Parser, ValueEnum};
use runtime::bootstrap::settings_table;

/// Prints what the platform does per second, and other figures, as ratios to what the same machine does in the same run
/// without it
#[derive(Clone, Debug, Parser)]
#[command(
    name = "bench",
    version,
    after_help = "\
Examples:
  cargo run --release -p bench                                everything, about an hour
  cargo run --release -p bench -- place --pairs 1 --seconds 3
  cargo run --release -p bench -- place --set WRITER_BATCH=128 --json

Exit codes: 0 measured (also when a goal is missed), 1 could not be measured, 2 wrong usage, 130 interrupted."
)]
pub(crate) struct Options {
    /// What to measure [default: everything]
    #[arg(value_enum)]
    pub(crate) benchmark: Option<Benchmark>,
    /// Rounds; each measures both sides
    #[arg(long, default_value_t = 5, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub(crate) pairs: u32,
    /// Length of one measurement in seconds
    #[arg(long, default_value_t = 10, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub(crate) seconds: u32,
    /// Callers of the platform at the same time
    #[arg(long, default_value_t = 200, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub(crate) callers: u32,
    /// Orders that are offered on one stream by a client that does not read
    #[arg(long, default_value_t = 200_000, value_name = "N", value_parser = clap::value_parser!(u32).range(50_000..=10_000_000))]
    pub(crate) offered: u32,
    /// Events that wait for each relay
    #[arg(long, default_value_t = 100_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=10_000_000))]
    pub(crate) backlog: u32,
    /// Events that go through the outbox, with and without a foreign transaction
    #[arg(long, default_value_t = 1_000_000, value_name = "N", value_parser = clap::value_parser!(u32).range(1_000..=100_000_000))]
    pub(crate) events: u32,
    /// A setting for both services; may be given again
    #[arg(long = "set", value_name = "NAME=VALUE", value_parser = parse_setting)]
    pub(crate) settings: Vec<(String, String)>,
    /// Print one JSON document with every number instead of tables
    #[arg(long)]
    pub(crate) json: bool,
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Benchmark {
    /// Orders on 10,000 SKUs, against pgbench (P1, P2)
    Place,
    /// All orders on one SKU, against pgbench and against many SKUs (P3)
    Hot,
    /// GetOrder, against a bare tonic server (P4)
    Get,
    /// WatchOrder, against a bare tonic server stream (P5)
    Watch,
    /// The server stack around a handler that does nothing, against a bare tonic server (P5, P10)
    Stack,
    /// PlaceOrders on streams, against PlaceOrder calls; and a client that does not read
    PlaceOrders,
    /// Two and five times as many orders as there can be (P11)
    Overload,
    /// The latency that the writer adds for one caller
    OneCaller,
    /// How fast the relay publishes, against the usual good relay (P9)
    Relay,
    /// What a long foreign transaction does to the outbox (R6)
    Outbox,
    /// How long events wait in the outbox, at half and at nearly all of the load that there can be (P8)
    Lag,
    /// What telemetry costs, and what it costs when its collector is dead, hung or slow (P6, P7)
    Telemetry,
}

impl Options {
    pub(crate) fn wants(&self, benchmark: Benchmark) -> bool {
        self.benchmark.is_none_or(|wanted| wanted == benchmark)
    }

    /// Length of what runs before each measurement and is not counted.
    pub(crate) fn warm_up_seconds(&self) -> u32 {
        self.seconds.min(2)
    }
}

/// A name that no service knows would silently change nothing.
fn parse_setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("expected NAME=VALUE, such as WRITER_BATCH=128")?;
    let tables = [settings_table::<order_svc::OrderService>(), settings_table::<inventory_svc::InventoryService>()];
    if !tables.iter().flatten().any(|row| row.name == name) {
        return Err(format!("{name} is no setting of the services; their READMEs list them"));
    }
    Ok((name.to_owned(), value.to_owned()))
}
