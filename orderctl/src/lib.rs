//! The command line of the order platform: runs it on this machine (`up`), and places orders, imports stock, draws traces
//! and replays dead letters wherever it runs.
//!
//! Reading order: `cli` (what may be typed), `client` and `failure` (how a call goes and fails), `waterfall` and
//! `jaeger` (traces), `letters` (dead letters as they are shown), `demo` (the first order), `up` (the whole platform on
//! this machine), `doctor` (what is wrong with a platform).

mod catalogue;
mod cli;
mod client;
mod demo;
mod doctor;
mod failure;
mod http;
mod jaeger;
mod json;
mod letters;
mod money;
mod output;
mod render;
mod story;
mod telemetry;
mod up;
mod waterfall;

use std::ffi::OsString;
use std::io;
use std::process::ExitCode;

use clap::Parser as _;
use cli::{Cli, Command};

/// Does what the command line says and returns the process' exit code. `arguments` come with the program's name in front,
/// as from `std::env::args_os`. The environment is the process' own.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let command = match Cli::parse_from(arguments).command {
        // A service builds its own runtime.
        Command::Serve(arguments) => return arguments.run(),
        command => command,
    };
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return failed(&anyhow::Error::new(error).context("no threads can be started")),
    };
    match runtime.block_on(run(command)) {
        Ok(code) => code,
        Err(error) => failed(&error),
    }
}

async fn run(command: Command) -> anyhow::Result<ExitCode> {
    match command {
        Command::Up(arguments) => return up::run(arguments).await,
        Command::Stock(arguments) => return arguments.run().await,
        Command::Order(arguments) => arguments.run().await?,
        Command::Trace(arguments) => arguments.run().await?,
        Command::DeadLetters(arguments) => return arguments.run().await,
        Command::Load(arguments) => arguments.run().await?,
        Command::Seed(arguments) => arguments.run().await?,
        Command::Doctor(arguments) => return arguments.run().await,
        Command::Serve(arguments) => return Ok(arguments.run()),
    }
    Ok(ExitCode::SUCCESS)
}

fn failed(error: &anyhow::Error) -> ExitCode {
    // `orderctl stock list | head` is no failure.
    let reader_left = |cause: &io::Error| cause.kind() == io::ErrorKind::BrokenPipe;
    if error.downcast_ref::<io::Error>().is_some_and(reader_left) {
        return ExitCode::SUCCESS;
    }
    eprintln!("error: {error:#}");
    ExitCode::FAILURE
}
