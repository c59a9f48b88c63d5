//! `orderctl load`: orders from many callers at once, and how long they took.
//!
//! Closed loop: each caller sends its next call when the last was answered; the result is a throughput. Open loop
//! (`--rate`): calls have times at which they are to be sent, whatever became of those before, and latency counts from
//! that time; a service that stalls cannot hide it by holding the callers up (coordinated omission).
//!
//! Answers and failures are timed apart: a service that refuses quickly would look like one that answers quickly.

mod callers;
mod connections;
mod report;
mod shop;
mod stream;
mod workload;

use std::sync::Arc;
use std::time::Duration;

use clap::{Args, ValueEnum};

use self::callers::Pace;
use self::connections::Connections;
use self::report::{Report, Tally};
use self::shop::Shop;
use self::workload::{Means, Workload};
use super::parse_duration;
use crate::client::{self, Address};
use crate::output;

/// Place or read many orders at once and say how long it took
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orderctl load --callers 50 --duration 10s
  orderctl load --rate 500 --duration 30s --sku MUG-35CL-THERMO
  orderctl load --call place-orders --callers 200 --connections 4
  orderctl load --call shop --rate 20 --retries 1 --duration 15m
  orderctl load --call get --json")]
pub(crate) struct LoadArguments {
    /// Where the order service listens; the connections are spread over all addresses of a name
    #[arg(long, env = "ORDERS_ADDRESS", default_value = "http://127.0.0.1:50051")]
    address: Address,
    /// Where the inventory service listens, to learn which SKUs there are
    #[arg(long, env = "INVENTORY_ADDRESS", default_value = "http://127.0.0.1:50052")]
    inventory: Address,
    /// What is called
    #[arg(long, value_enum, default_value_t = Call::Place)]
    call: Call,
    /// Callers at the same time; with --rate, calls in flight at most
    #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    callers: u32,
    /// Calls per second, sent at their time whatever became of the others [default: as fast as answers come]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    rate: Option<u32>,
    /// How long
    #[arg(long, default_value = "10s", value_name = "TIME", value_parser = parse_duration)]
    duration: Duration,
    /// How long one call may take
    #[arg(long, default_value = "5s", value_name = "TIME", value_parser = parse_duration)]
    timeout: Duration,
    /// Connections that the callers share
    #[arg(long, default_value_t = 4, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=256))]
    connections: u32,
    /// How often place, shop and get send a call again, over the next connection, when its own breaks or its replica goes away
    #[arg(long, default_value_t = 0, value_name = "N", value_parser = clap::value_parser!(u32).range(0..=10))]
    retries: u32,
    /// Order this SKU only; may be given again [default: all there are]
    #[arg(long, value_name = "SKU")]
    sku: Vec<String>,
    /// Most lines of an order; each has 1 to this many
    #[arg(long, default_value_t = 1, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=100))]
    lines: u32,
    /// Makes the same orders again
    #[arg(long, default_value_t = 1, value_name = "N")]
    seed: u64,
    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

/// What is called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Call {
    /// PlaceOrder
    Place,
    /// PlaceOrder, and what follows in a shop: most orders are fulfilled, some cancelled, and what runs out is delivered
    Shop,
    /// PlaceOrders: one stream on each connection, which the callers share
    PlaceOrders,
    /// GetOrder, of orders placed at the beginning
    Get,
    /// WatchOrder, of orders placed and fulfilled at the beginning: their second and third version
    Watch,
}

impl LoadArguments {
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        // A shop has nothing in stock only until the first delivery.
        let skus = match (self.sku.as_slice(), self.call) {
            ([], Call::Shop) => workload::skus(&self.inventory, true).await?,
            ([], _) => workload::skus(&self.inventory, false).await?,
            (named, _) => named.to_vec(),
        };
        let channels = client::connect_to_all(&self.address, self.connections).await?;
        let connections = Connections::share(&channels, self.retries);
        let workload = Workload::new(skus, self.lines, self.seed, self.timeout);
        let mut means = Vec::new();
        match self.call {
            Call::Place => means.extend(connections.into_iter().map(Means::Place)),
            Call::Shop => {
                let warehouse = client::connect(&self.inventory).await?;
                let shop = |connections| Means::Shop(Shop::new(connections, warehouse.clone()));
                means.extend(connections.into_iter().map(shop));
            }
            Call::PlaceOrders => {
                for channel in channels {
                    means.push(Means::place_orders(channel, &self.address).await?);
                }
            }
            Call::Get => {
                let orders = workload.place_some(&channels[0]).await?;
                means.extend(connections.into_iter().map(|connections| Means::Get(connections, Arc::clone(&orders))));
            }
            Call::Watch => {
                let orders = workload.place_some(&channels[0]).await?;
                workload.fulfil(&channels[0], &orders).await?;
                means.extend(channels.into_iter().map(|channel| Means::watch(channel, &orders)));
            }
        }
        let pace = Pace { callers: self.callers, rate: self.rate, duration: self.duration };
        let progress = !self.json;
        let (tally, took): (Tally, Duration) = callers::run(&workload, &means, pace, progress).await;
        let report = Report::new(&tally, took, self.rate, self.duration);
        if self.json {
            output::print_json(&report)?
        } else {
            output::print(&report.to_string())?
        }
        Ok(())
    }
}
