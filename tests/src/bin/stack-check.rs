//! Looks from inside whether a platform in containers keeps its promises. `tests/compose` runs it in the network of the
//! stack, so that nothing of the host is needed but Docker. See `--help`.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, Subcommand};
use tests::audit;
use tests::stack::monitoring::{self, Prometheus};
use tests::stack::{Services, Stores, placement, shopping};
use tokio::signal::unix::{SignalKind, signal};

/// Asks a running platform whether it keeps its promises; exits with 1 when it does not.
#[derive(Debug, Parser)]
struct Arguments {
    /// How long to wait for what takes time, in seconds
    #[arg(long, global = true, default_value_t = 120, value_name = "S")]
    limit: u64,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Place an order and wait for the whole of its trace
    Trace {
        #[command(flatten)]
        services: Services,
        /// Jaeger's query API
        #[arg(long, env = "JAEGER_URL", default_value = "http://127.0.0.1:16686")]
        jaeger: String,
    },
    /// Place, cancel and fulfil orders until SIGTERM, then see whether all that was told is true, and audit
    Shop {
        #[command(flatten)]
        services: Services,
        #[command(flatten)]
        stores: Stores,
        /// Callers at the same time
        #[arg(long, default_value_t = 4)]
        callers: usize,
    },
    /// Check the invariants in both databases and all topics
    Audit {
        #[command(flatten)]
        stores: Stores,
    },
    /// Wait until a query gives so many series
    Query {
        /// In PromQL
        expression: String,
        /// Series that it has to give
        #[arg(long)]
        series: usize,
        /// Prometheus
        #[arg(long, env = "PROMETHEUS_URL", default_value = "http://127.0.0.1:9090")]
        prometheus: String,
    },
    /// Wait until every query of every dashboard gives data
    Dashboards {
        /// Where the dashboards are
        folder: PathBuf,
        /// Prometheus
        #[arg(long, env = "PROMETHEUS_URL", default_value = "http://127.0.0.1:9090")]
        prometheus: String,
    },
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    let run = runtime.context("no threads").and_then(|runtime| runtime.block_on(run(arguments)));
    match run {
        Ok(report) => {
            println!("{report}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

async fn run(Arguments { limit, command }: Arguments) -> anyhow::Result<String> {
    let limit = Duration::from_secs(limit);
    let begun = Instant::now();
    match command {
        Command::Trace { services, jaeger } => {
            let (order, trace) = placement::traced(services.shop()?, &jaeger, limit).await?;
            let took = begun.elapsed().as_secs_f64();
            Ok(format!("order {order}: trace {} is whole, {} spans, after {took:.1} s", trace.id, trace.spans.len()))
        }
        Command::Shop { services, stores, callers } => {
            let mut terminated = signal(SignalKind::terminate())?;
            let end = async {
                terminated.recv().await;
                Ok(())
            };
            let begun = || println!("the callers are at work");
            let (shop, state) = (services.shop()?, stores.state()?);
            let (fates, found) = shopping::until(begun, end, shop, callers, &state, limit).await?;
            Ok(format!("all that callers were told is true: {fates:?}\naudit clean: {found:?}"))
        }
        Command::Audit { stores } => {
            let (found, letters) = audit::check_state(&stores.state()?, limit).await?;
            Ok(format!("audit clean: {found:?}, {} dead letters", letters.len()))
        }
        Command::Query { expression, series, prometheus } => {
            let found = Prometheus::at(&prometheus).has(&expression, series, limit).await?;
            let lines: Vec<String> = found.iter().map(|(labels, value)| format!("{value} {labels}")).collect();
            Ok(lines.join("\n"))
        }
        Command::Dashboards { folder, prometheus } => {
            let queries = monitoring::queries_of_dashboards(&folder)?;
            Prometheus::at(&prometheus).answers_all(&queries, limit).await?;
            Ok(format!("{} queries of dashboards give data", queries.len()))
        }
    }
}
