//! P4: GetOrder, against a bare tonic server that answers with the same bytes.

use anyhow::{Result, ensure};
use figures::goal::{Bound, Goal, Verdict};
use figures::load::LoadReport;
use figures::table::{row, table};
use proto::orders::v1::OrderStatus;
use serde::Serialize;

use crate::cost::float;
use crate::disk;
use crate::echo;
use crate::load::Load;
use crate::rig::{HOT_SKU, Rig, progress};

const P4: Goal = Goal { name: "P4", ratio: "GetOrder / bare tonic", bound: Bound::AtLeast, must: 0.5, aim: Some(0.7) };

/// The goal, and what it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Get {
    verdict: Verdict,
    rounds: Vec<Round>,
    answer_bytes: usize,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    ours: LoadReport,
    bare: LoadReport,
    fsync_milliseconds: f64,
}

impl Round {
    fn rates(&self) -> [f64; 2] {
        [&self.ours, &self.bare].map(|report| float(report.answered("OK")) / report.seconds)
    }

    fn ratio(&self) -> f64 {
        let [ours, bare] = self.rates();
        ours / bare
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Get> {
    rig.services_up().await?;
    let mut shop = rig.platform.shop();
    let order = shop.place(&[(HOT_SKU, 1)]).await;
    let order = shop.becomes(&order.order_id, OrderStatus::Confirmed, 30).await;
    let answer_bytes = prost::Message::encoded_len(&order);
    let (_running, address) = echo::start(&order, rig.platform.folder()).await?;
    ensure!(address.starts_with("http://"), "the bare server did not start");
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("get, round {number} of {}", rig.options.pairs));
        let fsync_milliseconds = disk::fsync_milliseconds(rig.platform.folder())?;
        rounds.push(if number % 2 == 1 {
            let ours = read(rig, &rig.platform.orders.address()).await?;
            Round { ours, bare: read(rig, &address).await?, fsync_milliseconds }
        } else {
            let bare = read(rig, &address).await?;
            Round { ours: read(rig, &rig.platform.orders.address()).await?, bare, fsync_milliseconds }
        });
    }
    Ok(Get { verdict: P4.judge(rounds.iter().map(Round::ratio)), rounds, answer_bytes })
}

/// The load generator first places the orders that it then reads; that is not in its report.
async fn read(rig: &Rig, orders: &str) -> Result<LoadReport> {
    let inventory = &rig.platform.inventory.address();
    let load = Load {
        orders,
        inventory,
        call: "get",
        sku: Some(HOT_SKU),
        callers: rig.options.callers,
        seconds: rig.options.seconds,
        rate: None,
    };
    let (report, _) = load.run().await?;
    ensure!(report.answered("OK") > 0, "nothing was answered: {report:?}");
    Ok(report)
}

impl Get {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "GetOrder/s",
            "bare tonic/s",
            "ratio",
            "p50 ms",
            "p99 ms",
            "bare p50",
            "bare p99",
            "fsync ms",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            let [ours, bare] = round.rates();
            let latencies = [&round.ours, &round.bare].map(|report| report.latency_milliseconds);
            let mut cells = vec![number.to_string(), format!("{ours:.0}"), format!("{bare:.0}")];
            cells.push(format!("{:.2}", round.ratio()));
            cells.extend(latencies.iter().flat_map(|latency| [latency.p50, latency.p99]).map(|ms| format!("{ms:.2}")));
            cells.push(format!("{:.2}", round.fsync_milliseconds));
            rows.push(cells);
        }
        format!(
            "GetOrder, {} bytes of answer\n\n{}\n\n{}",
            self.answer_bytes,
            table(&rows, &[]),
            table(&[self.verdict.row()], &[0, 1, 2, 3, 4]),
        )
    }
}
