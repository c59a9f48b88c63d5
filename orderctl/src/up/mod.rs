//! `orderctl up`: the whole platform on this machine, and one order to look at.

mod holder;
mod interrupts;
mod platform;
mod ports;
mod screen;
mod service;
mod summary;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use devstack::{DataLock, Sources};
use proto::orders::v1::{Order, OrderStatus};

use self::interrupts::Interrupts;
use self::platform::{Addresses, Platform};
use self::ports::PortChoice;
use self::screen::Screen;
use crate::cli::current_style;
use crate::demo::{self, Story};
use crate::{output, render, waterfall};

/// What shells give a process that SIGINT ended: for a start that was broken off.
const INTERRUPTED: u8 = 130;

/// Run the whole platform on this machine and place one order
///
/// Starts Postgres, Kafka and Jaeger (or substitutes, named as such) and both services, imports the
/// demo catalogue, places one order, prints its trace, and stays until Ctrl-C. Databases and topics
/// survive in the data folder.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  orderctl up                                 on the usual ports, until Ctrl-C
  orderctl up --once                          only the first order and its trace
  orderctl up --data /tmp/other --ports any   a second platform beside the first"
)]
pub(crate) struct UpArguments {
    /// Stop after the first order and its trace; exit code 1 if either is not whole
    #[arg(long)]
    once: bool,
    /// Where databases, topics and logs are kept
    #[arg(long, default_value = ".data", value_name = "DIR")]
    data: PathBuf,
    /// Other ports than the usual ones: "any", or NAME=PORT,… (0: any) of
    /// orders=50051, inventory=50052, orders-admin=9464, inventory-admin=9465,
    /// jaeger=16686, otlp=4317, kafka=19092, postgres=15432
    #[arg(long, value_name = "PORTS", verbatim_doc_comment)]
    ports: Option<PortChoice>,
}

/// Runs the platform.
///
/// # Errors
/// Something is in the way, does not start, or ended by itself; everything else was stopped in order before.
pub(crate) async fn run(arguments: UpArguments) -> anyhow::Result<ExitCode> {
    let mut interrupts = Interrupts::install()?;
    let mut platform = Platform::default();
    let outcome = tokio::select! {
        outcome = live(&arguments, &mut platform) => outcome,
        () = interrupts.next() => Ok(Ending::Interrupted),
    };
    if let Err(error) = &outcome {
        eprintln!("error: {error:#}");
    }
    if matches!(outcome, Ok(Ending::Interrupted)) {
        eprintln!("\nstopping (Ctrl-C again stops at once)");
    }
    let failures = tokio::select! {
        failures = platform.stop() => failures,
        () = interrupts.next() => {
            platform.kill();
            eprintln!("stopped at once");
            std::process::exit(i32::from(INTERRUPTED));
        }
    };
    for failure in &failures {
        eprintln!("error: {failure:#}");
    }
    Ok(match outcome {
        Ok(Ending::Interrupted) if !platform.is_whole => ExitCode::from(INTERRUPTED),
        Ok(_) if failures.is_empty() => ExitCode::SUCCESS,
        Ok(_) | Err(_) => ExitCode::FAILURE,
    })
}

/// Why a platform that works is stopped.
enum Ending {
    Interrupted,
    Once,
}

async fn live(arguments: &UpArguments, platform: &mut Platform) -> anyhow::Result<Ending> {
    let data = std::path::absolute(&arguments.data).context("there is no current folder")?;
    // The lock goes first: a platform that runs already explains taken ports better than the ports do.
    drop(DataLock::acquire(&data)?);
    let choice = arguments.ports.clone().unwrap_or_default();
    let ports = choice.settle(&platform::ports_in_use_elsewhere(&Sources::from_environment()))?;

    let screen = Screen::start();
    let started = start(&data, ports, platform, &screen).await;
    screen.finish();
    let at = started?;
    for substitute in platform.substitutes() {
        output::print(&format!("! {substitute}"))?;
    }
    output::print(&format!("ready after {:.1} s\n", screen.elapsed().as_secs_f64()))?;

    let order = tokio::select! {
        order = demo::place_order(&at.orders, &at.inventory) => order?,
        error = platform.service_ended() => return Err(error),
    };
    output::print(&render::order(&order))?;
    if order.status() != OrderStatus::Confirmed {
        bail!("the order was not confirmed\n  next: look into {}", data.join("logs").display());
    }
    let story = tokio::select! {
        story = demo::trace(&at.jaeger, &order.order_id) => story,
        error = platform.service_ended() => return Err(error),
    };
    tell(story, arguments.once)?;
    if arguments.once {
        return Ok(Ending::Once);
    }
    stay(&at, &order, platform).await
}

async fn start(
    data: &std::path::Path,
    ports: ports::Ports,
    platform: &mut Platform,
    screen: &Screen,
) -> anyhow::Result<Addresses> {
    let at = platform.start_stack(data, ports, screen).await?;
    platform.start_services(&at, screen).await?;
    screen.working("catalogue", "importing");
    let imported = tokio::select! {
        imported = demo::import_catalogue(&at.inventory) => imported?,
        error = platform.service_ended() => return Err(error),
    };
    let (new, known) = (imported.rows_applied, imported.rows_already_applied);
    screen.ready("catalogue", format!("{new} products imported, {known} were there"));
    Ok(at)
}

/// Prints the trace. One that is not whole fails only where nobody stays to look again.
fn tell(story: anyhow::Result<Story>, once: bool) -> anyhow::Result<()> {
    let Story { trace, missing } = match story {
        Ok(story) => story,
        Err(error) if once => return Err(error.context("the order's trace can't be read")),
        Err(error) => return Ok(output::print(&format!("\n! the order's trace can't be read: {error:#}\n"))?),
    };
    if let Some(trace) = trace {
        output::print(&format!("\n{}\n", waterfall::draw(&trace, current_style())))?;
    }
    match missing.as_slice() {
        [] => Ok(()),
        missing if once => bail!("the order's trace is not whole; it lacks {}", missing.join(", ")),
        missing => Ok(output::print(&format!("! the trace is not whole yet; it lacks {}\n", missing.join(", ")))?),
    }
}

async fn stay(at: &Addresses, order: &Order, platform: &mut Platform) -> anyhow::Result<Ending> {
    platform.is_whole = true;
    let program = std::env::args().next().unwrap_or_else(|| "orderctl".to_owned());
    output::print(&summary::summary(at, order, &program))?;
    output::print("\nCtrl-C stops everything.")?;
    // Ctrl-C ends this from outside.
    Err(platform.service_ended().await)
}
