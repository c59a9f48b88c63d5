//! Holds a stack until it is killed: the process that a test kills to see what becomes of its servers.
//!
//!     cargo run -p devstack --example hold_a_stack -- FOLDER
//!
//! Prints the process ids of its servers in a line that begins with HOLDING.

use anyhow::Context as _;
use devstack::{Stack, StackOptions};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let data = std::env::args_os().nth(1).context("say in which folder: hold_a_stack FOLDER")?;
    let stack = Stack::start(&StackOptions::new(data)).await?;
    let pids = [stack.postgres.pid(), stack.kafka.pid(), stack.traces.pid()];
    let pids: Vec<String> = pids.iter().flatten().map(u32::to_string).collect();
    println!("HOLDING {}", pids.join(" "));
    std::future::pending().await
}
