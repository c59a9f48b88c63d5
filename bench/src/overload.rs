//! P11: what becomes of the platform when it is offered more than it can do.
//!
//! The load generator has a processor of its own, so that it can go on offering. A round looks for the peak with a closed
//! loop, then with an open one of half as much again, because more callers share more commits; what either reaches counts.
//! Then it offers twice and five times the peak, and half of it right after: whether all is well again.

use anyhow::{Context as _, Result};
use figures::goal::{Bound, Goal, Verdict};
use figures::load::LoadReport;
use figures::table::{row, table};
use serde::Serialize;
use tests::service::Part;

use crate::affinity::Apart;
use crate::cost::float;
use crate::load::Load;
use crate::rig::{Rig, progress};

const AT_TWICE: Goal =
    Goal { name: "P11", ratio: "goodput at 2 × the peak / peak", bound: Bound::AtLeast, must: 0.9, aim: Some(0.95) };
const AT_FIVE_TIMES: Goal =
    Goal { name: "P11", ratio: "goodput at 5 × the peak / peak", bound: Bound::AtLeast, must: 0.8, aim: Some(0.9) };
const ADMITTED: Goal = Goal {
    name: "P11",
    ratio: "p99 of answered calls, at 2 × the peak / closed loop",
    bound: Bound::AtMost,
    must: 2.0,
    aim: None,
};
const REFUSED: Goal = Goal {
    name: "P11",
    ratio: "p99 in ms of refused calls at 5 × the peak",
    bound: Bound::AtMost,
    must: 50.0,
    aim: None,
};
const PENDING: Goal = Goal {
    name: "P11",
    ratio: "orders that are PENDING 5 s after 5 × the peak",
    bound: Bound::AtMost,
    must: 0.0,
    aim: None,
};
const AFTERWARDS: Goal = Goal {
    name: "P11",
    ratio: "answered / offered, half of the peak, 5 s after",
    bound: Bound::AtLeast,
    must: 0.99,
    aim: None,
};
const FACTORS: [f64; 2] = [2.0, 5.0];
/// Of what the closed loop has reached, to look for the peak.
const MORE: f64 = 1.5;
/// Calls in flight at most: so many that the generator itself is not what holds back.
const CALLERS: u32 = 8_000;
/// After which all has to be as it was.
const RECOVERY_SECONDS: u64 = 5;

/// The goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Overload {
    verdicts: Vec<Verdict>,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    closed: LoadReport,
    more: LoadReport,
    overloaded: [LoadReport; FACTORS.len()],
    /// Orders that were PENDING when [`RECOVERY_SECONDS`] were over.
    pending: i64,
    afterwards: LoadReport,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Overload> {
    rig.services_up().await?;
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("overload, round {number} of {}", rig.options.pairs));
        rig.drained().await?;
        rounds.push(round(rig).await?);
    }
    rig.drained().await?;
    let of = |goal: Goal, figure: &dyn Fn(&Round) -> f64| goal.judge(rounds.iter().map(figure));
    let verdicts = vec![
        of(AT_TWICE, &|round| goodput(&round.overloaded[0]) / round.peak()),
        of(AT_FIVE_TIMES, &|round| goodput(&round.overloaded[1]) / round.peak()),
        of(ADMITTED, &|round| round.overloaded[0].latency_milliseconds.p99 / round.closed.latency_milliseconds.p99),
        of(REFUSED, &|round| round.overloaded[1].failure_latency_milliseconds.map_or(0.0, |latency| latency.p99)),
        of(PENDING, &|round| float(round.pending.unsigned_abs())),
        of(AFTERWARDS, &|round| {
            let LoadReport { not_sent, .. } = round.afterwards;
            let answered = round.afterwards.answered("CONFIRMED");
            float(answered) / float(answered + round.afterwards.failed() + not_sent)
        }),
    ];
    Ok(Overload { verdicts, rounds })
}

async fn round(rig: &Rig) -> Result<Round> {
    let apart = Apart::begin(&rig.platform)?;
    let at = async |per_second: f64| load(rig, CALLERS, Some(rate(per_second))).await;
    let closed = load(rig, rig.options.callers, None).await?;
    let more = at(goodput(&closed) * MORE).await?;
    let peak = peak(&closed, &more);
    let overloaded = [at(peak * FACTORS[0]).await?, at(peak * FACTORS[1]).await?];
    tokio::time::sleep(std::time::Duration::from_secs(RECOVERY_SECONDS)).await;
    let pending =
        sqlx::query_scalar("select count(*) from unfinished_orders join orders using (order_id) where status = 1")
            .fetch_one(&rig.platform.database(Part::Orders))
            .await
            .context("PENDING orders")?;
    let afterwards = at(peak / 2.0).await?;
    drop(apart);
    Ok(Round { closed, more, overloaded, pending, afterwards })
}

impl Round {
    fn peak(&self) -> f64 {
        peak(&self.closed, &self.more)
    }
}

/// The most that was reached.
fn peak(closed: &LoadReport, more: &LoadReport) -> f64 {
    goodput(closed).max(goodput(more))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate is positive and not that high")]
fn rate(per_second: f64) -> u32 {
    per_second.max(1.0) as u32
}

/// Orders per second that were CONFIRMED in answers.
fn goodput(report: &LoadReport) -> f64 {
    float(report.answered("CONFIRMED")) / report.seconds
}

async fn load(rig: &Rig, callers: u32, rate: Option<u32>) -> Result<LoadReport> {
    let (orders, inventory) = (&rig.platform.orders.address(), &rig.platform.inventory.address());
    let seconds = rig.options.seconds;
    Ok(Load { orders, inventory, call: "place", sku: None, callers, seconds, rate }.run().await?.0)
}

impl Overload {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "load",
            "offered/s",
            "CONFIRMED/s",
            "PENDING",
            "refused",
            "not sent",
            "p50 ms",
            "p99 ms",
            "refused p99",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            let [twice, five_times] = &round.overloaded;
            let Round { closed, more, afterwards, .. } = round;
            for (name, offered, report) in [
                ("closed", None, closed),
                ("1.5 ×", Some(goodput(closed) * MORE), more),
                ("2 ×", Some(round.peak() * FACTORS[0]), twice),
                ("5 ×", Some(round.peak() * FACTORS[1]), five_times),
                ("half", Some(round.peak() / 2.0), afterwards),
            ] {
                let offered = offered.map(|offered| format!("{offered:.0}"));
                rows.push(vec![
                    number.to_string(),
                    name.to_owned(),
                    offered.unwrap_or_else(|| "–".to_owned()),
                    format!("{:.0}", goodput(report)),
                    report.answered("PENDING").to_string(),
                    report.failed().to_string(),
                    report.not_sent.to_string(),
                    format!("{:.1}", report.latency_milliseconds.p50),
                    format!("{:.1}", report.latency_milliseconds.p99),
                    report.failure_latency_milliseconds.map_or_else(|| "–".to_owned(), |ms| format!("{:.1}", ms.p99)),
                ]);
            }
        }
        let verdicts: Vec<_> = self.verdicts.iter().map(Verdict::row).collect();
        format!(
            "More than it can do; the load generator has a processor of its own\n\n{}\n\n{}",
            table(&rows, &[1]),
            table(&verdicts, &[0, 1, 2, 3, 4])
        )
    }
}
