//! PlaceOrders, one stream for many orders, against as many PlaceOrder calls in flight; and a client that offers orders
//! without reading the answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use figures::goal::{Bound, Goal, Verdict};
use figures::memory;
use figures::table::{row, table};
use proto::orders::v1::{NewOrderLine, PlaceOrderRequest, PlaceOrdersRequest};
use serde::Serialize;
use uuid::Uuid;

use crate::cost::{Cost, float};
use crate::rig::{HOT_SKU, Placed, Rig, progress};

const RATE: Goal = Goal { name: "–", ratio: "orders/s, stream / calls", bound: Bound::AtLeast, must: 1.0, aim: None };
const COST: Goal =
    Goal { name: "–", ratio: "CPU µs per order, stream / calls", bound: Bound::AtMost, must: 1.0, aim: None };
const UNREAD: Goal =
    Goal { name: "–", ratio: "MiB by which order-svc grew, unread", bound: Bound::AtMost, must: 64.0, aim: None };
/// A client that is not read from has stopped when it has taken nothing for so long.
const STANDSTILL: Duration = Duration::from_secs(3);

/// The goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct PlaceOrders {
    verdicts: [Verdict; 3],
    rounds: Vec<Round>,
    unread: Unread,
}

#[derive(Debug, Serialize)]
struct Round {
    stream: Placed,
    calls: Placed,
}

/// What became of many orders on one stream whose answers nobody read at first.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Unread {
    offered: u64,
    /// Until the client was held back.
    taken_unread: u64,
    grown_bytes: u64,
    answered: u64,
    /// From the first answer that was read to the last.
    read_seconds: f64,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<PlaceOrders> {
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("place-orders, round {number} of {}", rig.options.pairs));
        rounds.push(if number % 2 == 1 {
            let stream = rig.place_by("place-orders", None).await?;
            Round { stream, calls: rig.place(None).await? }
        } else {
            let calls = rig.place(None).await?;
            Round { stream: rig.place_by("place-orders", None).await?, calls }
        });
    }
    let unread = unread(rig).await?;
    rig.drained().await?;
    let cpu = |placed: &Placed| placed.cost.cpu_microseconds.values().sum::<f64>();
    let verdicts = [
        RATE.judge(rounds.iter().map(|round| round.stream.per_second / round.calls.per_second)),
        COST.judge(rounds.iter().map(|round| cpu(&round.stream) / cpu(&round.calls))),
        UNREAD.judge([mib(unread.grown_bytes)]),
    ];
    Ok(PlaceOrders { verdicts, rounds, unread })
}

async fn unread(rig: &mut Rig) -> Result<Unread> {
    let offered = u64::from(rig.options.offered);
    progress(&format!("{offered} orders on one stream that nobody reads"));
    rig.services_up().await?;
    rig.drained().await?;
    let pid = rig.platform.orders.pid().context("order-svc runs")?;
    let before = memory::resident(pid)?;
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let requests = (1..=offered).map(move |sequence| {
        counted.store(sequence, Ordering::Relaxed);
        let lines = vec![NewOrderLine { sku: HOT_SKU.to_owned(), quantity: 1 }];
        let request_id = Uuid::new_v4().to_string();
        let order = PlaceOrderRequest { request_id, customer_id: "unread".to_owned(), lines };
        PlaceOrdersRequest { sequence, place_order: Some(order) }
    });
    let mut orders = rig.platform.orders.orders();
    let mut answers = orders.place_orders(tokio_stream::iter(requests)).await?.into_inner();
    let mut seen = 0;
    let mut since = Instant::now();
    while since.elapsed() < STANDSTILL {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = taken.load(Ordering::Relaxed);
        if now != seen {
            (seen, since) = (now, Instant::now());
        }
    }
    ensure!(seen < offered, "all {offered} orders were taken although nobody read an answer");
    let grown_bytes = memory::resident(pid)?.saturating_sub(before);
    let begun = Instant::now();
    let mut is_answered = vec![false; usize::try_from(offered)? + 1];
    while let Some(answer) = answers.message().await? {
        let is_answered = is_answered.get_mut(usize::try_from(answer.sequence)?).context("an unknown sequence")?;
        ensure!(!std::mem::replace(is_answered, true), "order {} was answered twice", answer.sequence);
    }
    let answered = is_answered.iter().filter(|answered| **answered).count() as u64;
    ensure!(answered == offered, "{answered} of {offered} orders were answered");
    Ok(Unread { offered, taken_unread: seen, grown_bytes, answered, read_seconds: begun.elapsed().as_secs_f64() })
}

fn mib(bytes: u64) -> f64 {
    float(bytes) / (1_024.0 * 1_024.0)
}

impl PlaceOrders {
    pub(crate) fn text(&self) -> String {
        let mut rows =
            vec![row(["round", "stream/s", "calls/s", "ratio", "p50 ms", "p99 ms", "calls p50", "calls p99"])];
        for (number, Round { stream, calls }) in (1..).zip(&self.rounds) {
            let mut cells = vec![number.to_string(), format!("{:.0}", stream.per_second)];
            cells.push(format!("{:.0}", calls.per_second));
            cells.push(format!("{:.2}", stream.per_second / calls.per_second));
            let latencies = [stream, calls].map(|placed| placed.report.latency_milliseconds);
            cells.extend(latencies.iter().flat_map(|latency| [latency.p50, latency.p99]).map(|ms| format!("{ms:.1}")));
            rows.push(cells);
        }
        let costs = [
            row(Cost::HEADER),
            Cost::row("stream", self.rounds.iter().map(|round| &round.stream.cost)),
            Cost::row("calls", self.rounds.iter().map(|round| &round.calls.cost)),
        ];
        let Unread { offered, taken_unread, grown_bytes, answered, read_seconds } = self.unread;
        format!(
            "PlaceOrders against PlaceOrder, as many orders in flight\n\n{}\n\n{}\n\n\
             {offered} orders offered by a client that does not read: {taken_unread} left it, order-svc grew by {:.1} MiB; \
             then all {answered} were answered in {read_seconds:.1} s\n\n{}",
            table(&rows, &[]),
            table(&costs, &[0]),
            mib(grown_bytes),
            table(&self.verdicts.map(|verdict| verdict.row()), &[0, 1, 2, 3, 4]),
        )
    }
}
