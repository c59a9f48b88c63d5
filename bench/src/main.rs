//! What the platform can do, as ratios to what the same machine can do without it, measured side by side.
//!
//! A figure alone says little on a machine whose disk and neighbours change by the minute. So each benchmark here measures
//! the platform and something simpler in turns, several times, and prints the ratio of each round, their median and how
//! far they lie apart. What is simpler: pgbench with statements of the project's own (`scripts/`), a bare tonic server,
//! a plain transaction, the usual relay. Two look at the platform alone, calm and under strain.
//!
//! Reading order:
//!
//! - [`rig`]: what runs when, and what a measurement is. [`drain`]: when the work of a load is done.
//! - [`place`], [`hot`], [`get`], [`watch`], [`stack`], [`place_orders`], [`overload`], [`one_caller`], [`relay`],
//!   [`outbox`], [`lag`], [`telemetry`]: the benchmarks, each with its goals and its table.
//! - [`load`], [`pgbench`], [`echo`]: the processes that make or answer calls. [`calls`]: two servers under the same load.
//!   [`affinity`]: a processor for the load generator alone.
//! - [`cost`], [`disk`]: processor time, log bytes and fsyncs per order; how fast the disk is just now.
//! - The library `figures` beside this program: what is parsed and computed.
//!
//! The services and the load generator run as processes of their own from this same file (the first words `order`,
//! `inventory`, `orderctl`, and those of [`echo`] and the relays), so that what is measured is what was built, and an allocator or a profile can't
//! differ. Nothing outlives this program, however it ends.
//!
//! What it does not guarantee: absolute figures that can be compared between runs or machines.

mod affinity;
mod calls;
mod cost;
mod disk;
mod drain;
mod echo;
mod get;
mod hot;
mod lag;
mod load;
mod one_caller;
mod options;
mod outbox;
mod overload;
mod pgbench;
mod place;
mod place_orders;
mod relay;
mod rig;
mod stack;
mod telemetry;
mod watch;

use std::io::Write as _;
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;

use anyhow::{Context as _, Result};
use clap::Parser as _;
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};

use crate::options::{Benchmark, Options};
use crate::relay::process::Kind;
use crate::rig::Rig;

/// As in the programs of the services and of orderctl.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const EXIT_INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    tests::lifeline::hold();
    let mut arguments = std::env::args_os().skip(1).peekable();
    match arguments.peek().and_then(|argument| argument.to_str()) {
        Some("order") => runtime::bootstrap::run::<order_svc::OrderService>(arguments.skip(1)),
        Some("inventory") => runtime::bootstrap::run::<inventory_svc::InventoryService>(arguments.skip(1)),
        Some("orderctl") => orderctl::main(arguments),
        Some(role) if role == echo::Kind::Bare.role() => echo::run(echo::Kind::Bare, arguments.skip(1)),
        Some(role) if role == echo::Kind::Stacked.role() => echo::run(echo::Kind::Stacked, arguments.skip(1)),
        Some(telemetry::collector::ROLE) => telemetry::collector::run(arguments.skip(1)),
        Some(role) if role == Kind::Ours.role() => relay::process::run(Kind::Ours, arguments.skip(1)),
        Some(role) if role == Kind::Usual.role() => relay::process::run(Kind::Usual, arguments.skip(1)),
        Some(_) | None => bench(Options::parse()),
    }
}

fn bench(options: Options) -> ExitCode {
    // The harness panics where a test would fail; everything that was started has to end all the same.
    let ended = std::panic::catch_unwind(AssertUnwindSafe(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().context("no threads")?;
        runtime.block_on(until_interrupted(options))
    }));
    match ended {
        Ok(Ok(code)) => code,
        Ok(Err(error)) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
        Err(_) => ExitCode::FAILURE,
    }
}

async fn until_interrupted(options: Options) -> Result<ExitCode> {
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    // What is dropped here takes its processes along.
    tokio::select! {
        biased;
        _ = interrupt.recv() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        _ = terminate.recv() => Ok(ExitCode::from(EXIT_INTERRUPTED)),
        measured = Box::pin(measure(options)) => measured.map(|()| ExitCode::SUCCESS),
    }
}

async fn measure(options: Options) -> Result<()> {
    let mut rig = Rig::start(options.clone()).await?;
    let measured = measure_with(&mut rig, &options).await;
    if measured.is_err() {
        rig.platform.show_logs();
    }
    measured
}

/// Runs what was asked for; a table is printed as soon as it is full.
async fn measure_with(rig: &mut Rig, options: &Options) -> Result<()> {
    let mut document = Map::new();
    let mut print = |name: &str, text: String, figures: Value| {
        if options.json {
            document.insert(name.to_owned(), figures);
            return Ok(());
        }
        writeln!(std::io::stdout(), "{text}\n")
    };
    if options.wants(Benchmark::Place) {
        let place = place::measure(rig).await?;
        print("place", place.text(), serde_json::to_value(&place)?)?;
    }
    if options.wants(Benchmark::Hot) {
        let hot = hot::measure(rig).await?;
        print("hot", hot.text(), serde_json::to_value(&hot)?)?;
    }
    if options.wants(Benchmark::Get) {
        let get = get::measure(rig).await?;
        print("get", get.text(), serde_json::to_value(&get)?)?;
    }
    if options.wants(Benchmark::Watch) {
        let watch = watch::measure(rig).await?;
        print("watch", watch.text(), serde_json::to_value(&watch)?)?;
    }
    if options.wants(Benchmark::Stack) {
        let stack = stack::measure(rig).await?;
        print("stack", stack.text(), serde_json::to_value(&stack)?)?;
    }
    if options.wants(Benchmark::PlaceOrders) {
        let place_orders = place_orders::measure(rig).await?;
        print("placeOrders", place_orders.text(), serde_json::to_value(&place_orders)?)?;
    }
    if options.wants(Benchmark::Overload) {
        let overload = overload::measure(rig).await?;
        print("overload", overload.text(), serde_json::to_value(&overload)?)?;
    }
    if options.wants(Benchmark::OneCaller) {
        let one_caller = one_caller::measure(rig).await?;
        print("oneCaller", one_caller.text(), serde_json::to_value(&one_caller)?)?;
    }
    if options.wants(Benchmark::Relay) {
        let relays = relay::measure(rig).await?;
        print("relay", relays.text(), serde_json::to_value(&relays)?)?;
    }
    if options.wants(Benchmark::Outbox) {
        let outbox = outbox::measure(rig).await?;
        print("outbox", outbox.text(), serde_json::to_value(&outbox)?)?;
    }
    if options.wants(Benchmark::Lag) {
        let lag = lag::measure(rig).await?;
        print("lag", lag.text(), serde_json::to_value(&lag)?)?;
    }
    if options.wants(Benchmark::Telemetry) {
        let telemetry = telemetry::measure(rig).await?;
        print("telemetry", telemetry.text(), serde_json::to_value(&telemetry)?)?;
    }
    if options.json {
        writeln!(std::io::stdout(), "{}", Value::Object(document))?;
    }
    Ok(())
}
