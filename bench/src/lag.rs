//! P8: how long events wait until they are published, while orders come at their own pace.
//!
//! Each round finds out what the platform can do with as many callers as it takes, then offers it half of that, then nine
//! tenths, as an open loop. From the records themselves it reads how old each event was when the broker appended it.

mod stamps;

use anyhow::{Context as _, Result};
use figures::goal::{Bound, Goal, Verdict};
use figures::load::LoadReport;
use figures::quantile::{self, Quantiles};
use figures::table::{row, table};
use serde::Serialize;
use tests::metrics::Metrics;

use self::stamps::Stamps;
use crate::load::Load;
use crate::rig::{Rig, progress};

const HALF: Goal =
    Goal { name: "P8", ratio: "outbox lag p99 in ms, half load", bound: Bound::AtMost, must: 25.0, aim: None };
const NEARLY_ALL: Goal =
    Goal { name: "P8", ratio: "outbox lag p99 in ms, 90 % load", bound: Bound::AtMost, must: 250.0, aim: None };
/// Shares of the capacity, in the order of the goals.
const SHARES: [f64; 2] = [0.5, 0.9];
/// Calls in flight at most: enough that none waits for a caller while the platform keeps up.
const CALLERS: u32 = 1_000;

/// The goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Lag {
    verdicts: [Verdict; 2],
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    /// CONFIRMED orders per second of a closed loop.
    capacity: f64,
    half: Level,
    nearly_all: Level,
}

/// What was seen at one rate.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Level {
    offered_per_second: u32,
    events: usize,
    lag_milliseconds: Quantiles,
    /// Estimated from the histogram of order-svc.
    completion_p99_milliseconds: Option<f64>,
    fsync_milliseconds: f64,
    report: LoadReport,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Lag> {
    rig.services_up().await?;
    let stamps = Stamps::set_up(rig.platform.kafka()).await?;
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("lag, round {number} of {}", rig.options.pairs));
        let capacity = rig.place(None).await?.per_second;
        let half = at(rig, &stamps, capacity * SHARES[0]).await?;
        rounds.push(Round { capacity, half, nearly_all: at(rig, &stamps, capacity * SHARES[1]).await? });
    }
    stamps.tear_down().await;
    let half = HALF.judge(rounds.iter().map(|round| round.half.lag_milliseconds.p99));
    let nearly_all = NEARLY_ALL.judge(rounds.iter().map(|round| round.nearly_all.lag_milliseconds.p99));
    Ok(Lag { verdicts: [half, nearly_all], rounds })
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and not that high")]
async fn at(rig: &mut Rig, stamps: &Stamps, rate: f64) -> Result<Level> {
    let offered_per_second = rate.max(1.0) as u32;
    let fsync_milliseconds = rig.even_out().await?;
    let (from, before) = (stamps.positions().await?, rig.platform.orders.metrics().await);
    let (orders, inventory) = (&rig.platform.orders.address(), &rig.platform.inventory.address());
    let (callers, seconds, rate) = (CALLERS, rig.options.seconds, Some(offered_per_second));
    let load = Load { orders, inventory, call: "place", sku: None, callers, seconds, rate };
    let (report, _) = load.run().await?;
    if report.failed() > 0 || report.not_sent > 0 {
        progress(&format!("not all was well: {} not sent, failures {:?}", report.not_sent, report.failures));
    }
    rig.drained().await?;
    let (to, after) = (stamps.positions().await?, rig.platform.orders.metrics().await);
    let lags = stamps.between(from, to).await?;
    anyhow::ensure!(!lags.is_empty(), "nothing was published: {report:?}");
    Ok(Level {
        offered_per_second,
        events: lags.len(),
        lag_milliseconds: Quantiles::of(lags),
        completion_p99_milliseconds: completion_p99(&before, &after).context("the histogram of completions")?,
        fsync_milliseconds,
        report,
    })
}

/// PENDING → CONFIRMED between two looks, in milliseconds.
fn completion_p99(before: &Metrics, after: &Metrics) -> Result<Option<f64>> {
    let mut buckets = Vec::new();
    for sample in after.select("order_completion_seconds_bucket", &[("outcome", "confirmed")]) {
        let edge = sample.labels.get("le").context("a bucket has an edge")?;
        let labels = [("outcome", "confirmed"), ("le", edge)];
        let count = sample.value - before.sum("order_completion_seconds_bucket", &labels);
        // "+Inf" is one, too.
        buckets.push((edge.parse()?, count));
    }
    buckets.sort_by(|(one, _): &(f64, f64), (other, _)| one.total_cmp(other));
    Ok(quantile::of_histogram(0.99, &buckets).map(|seconds| seconds * 1_000.0))
}

impl Lag {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "capacity/s",
            "offered/s",
            "events",
            "lag p50 ms",
            "p99 ms",
            "max ms",
            "confirmed p99 ms",
            "call p99 ms",
            "not sent",
            "fsync ms",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            for level in [&round.half, &round.nearly_all] {
                let Quantiles { p50, p99, max } = level.lag_milliseconds;
                let completion = level.completion_p99_milliseconds;
                rows.push(vec![
                    number.to_string(),
                    format!("{:.0}", round.capacity),
                    level.offered_per_second.to_string(),
                    level.events.to_string(),
                    format!("{p50:.1}"),
                    format!("{p99:.1}"),
                    format!("{max:.1}"),
                    completion.map_or_else(|| "–".to_owned(), |ms| format!("{ms:.0}")),
                    format!("{:.1}", level.report.latency_milliseconds.p99),
                    level.report.not_sent.to_string(),
                    format!("{:.2}", level.fsync_milliseconds),
                ]);
            }
        }
        let verdicts = self.verdicts.map(|verdict| verdict.row());
        format!("Outbox lag under an open loop\n\n{}\n\n{}", table(&rows, &[]), table(&verdicts, &[0, 1, 2, 3, 4]))
    }
}
