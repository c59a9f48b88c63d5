//! The platform's own load generator, as a process of its own.

use std::process::Stdio;
use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use figures::load::LoadReport;
use tests::lifeline::LIFELINE;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::{Child, Command};

/// One load.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load<'a> {
    /// Of the service that is called.
    pub(crate) orders: &'a str,
    /// Of the service that says which SKUs there are.
    pub(crate) inventory: &'a str,
    /// As `orderctl load --call` takes it.
    pub(crate) call: &'a str,
    /// Instead of all that there are.
    pub(crate) sku: Option<&'a str>,
    pub(crate) callers: u32,
    pub(crate) seconds: u32,
    /// Calls per second, sent at their times (open loop); `None`: as fast as answers come.
    pub(crate) rate: Option<u32>,
}

impl Load<'_> {
    /// Runs it to its end, and says when the last answer came.
    pub(crate) async fn run(self) -> Result<(LoadReport, Instant)> {
        let mut command = this_program("orderctl")?;
        command.args(["load", "--json", "--address", self.orders, "--inventory", self.inventory, "--call", self.call]);
        command.args(["--callers", &self.callers.to_string(), "--duration", &format!("{}s", self.seconds)]);
        // A slow disk makes a slow measurement, not a failed one.
        command.args(["--timeout", "30s"]);
        command.args(self.rate.iter().flat_map(|rate| ["--rate".to_owned(), rate.to_string()]));
        command.args(self.sku.iter().flat_map(|sku| ["--sku", sku]));
        let (mut load, printed) = spawn(command).await?;
        let answered = Instant::now();
        // Waiting for a child closes its standard input, which is what it would end by.
        let lifeline = load.stdin.take();
        let status = load.wait().await?;
        drop(lifeline);
        ensure!(status.success(), "the load generator failed ({status})");
        Ok((LoadReport::parse(&printed)?, answered))
    }
}

/// This very program in another role (see `main`), to be started by [`spawn`].
pub(crate) fn this_program(role: &str) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this program can't find its own file")?);
    command.arg(role);
    Ok(command)
}

/// Starts a child that ends with this process, and waits for the first line that it prints; empty if it ends without.
pub(crate) async fn spawn(mut command: Command) -> Result<(Child, String)> {
    command.env(LIFELINE, "1").stdin(Stdio::piped()).stdout(Stdio::piped()).kill_on_drop(true);
    // Ctrl-C is for us to hear: a child that it ends would look like one that failed.
    command.process_group(0);
    let mut child = command.spawn().context("this program can't start itself")?;
    let output = child.stdout.take().context("its output is a pipe")?;
    let line = BufReader::new(output).lines().next_line().await?;
    Ok((child, line.unwrap_or_default()))
}
