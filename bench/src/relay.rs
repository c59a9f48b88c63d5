//! P9: how fast our relay publishes a backlog, against the relay that one usually finds where it was done well.
//!
//! - [`backlog`]: the same events in our outbox and in the usual one.
//! - [`process`]: either relay alone in a process. [`usual`]: the other one.

pub(crate) mod backlog;
pub(crate) mod process;
mod usual;

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use figures::cpu;
use figures::goal::{Bound, Goal, Verdict};
use figures::spread::median;
use figures::table::{row, table};
use serde::Serialize;

use self::backlog::{Backlog, Shape};
use self::process::Kind;
use crate::cost::{Readings, float};
use crate::rig::{Rig, progress};

const P9: Goal = Goal { name: "P9", ratio: "ours / usual relay", bound: Bound::AtLeast, must: 1.5, aim: Some(3.0) };
const DATABASE: &str = "bench_relay";
/// Of the backlog, to warm a relay up.
const WARM_UP: u32 = 10;
/// Whose processor time is printed.
const PARTS: [&str; 3] = ["relay", "postgres", "kafka"];

/// The goal, and what it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Relays {
    verdict: Verdict,
    events: u32,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    usual: Published,
    ours: Published,
    ours_row_per_event: Published,
}

/// A backlog that was published.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Published {
    /// Events by the time from the commit that shows them until all are acknowledged and marked or deleted.
    pub(crate) per_second: f64,
    fsync_milliseconds: f64,
    /// Of each event.
    pub(crate) cpu_microseconds: BTreeMap<&'static str, f64>,
    /// Of each event.
    log_bytes: f64,
}

impl Round {
    fn ratio(&self) -> f64 {
        self.ours.per_second / self.usual.per_second
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Relays> {
    rig.services_down().await?;
    progress(&format!("staging {} events", rig.options.backlog));
    let mut backlog = Backlog::stage(&rig.platform, DATABASE, rig.options.backlog).await?;
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("relay, round {number} of {}", rig.options.pairs));
        rounds.push(if number % 2 == 1 {
            let usual = one(rig, &mut backlog, Shape::Usual).await?;
            let ours = one(rig, &mut backlog, Shape::Transactions).await?;
            Round { usual, ours, ours_row_per_event: one(rig, &mut backlog, Shape::Events).await? }
        } else {
            let ours_row_per_event = one(rig, &mut backlog, Shape::Events).await?;
            let ours = one(rig, &mut backlog, Shape::Transactions).await?;
            Round { usual: one(rig, &mut backlog, Shape::Usual).await?, ours, ours_row_per_event }
        });
    }
    let verdict = P9.judge(rounds.iter().map(Round::ratio));
    Ok(Relays { verdict, events: backlog.events(), rounds })
}

/// Starts a relay, warms it up, and lets it publish the backlog.
async fn one(rig: &mut Rig, backlog: &mut Backlog, shape: Shape) -> Result<Published> {
    let kind = match shape {
        Shape::Transactions | Shape::Events => Kind::Ours,
        Shape::Usual => Kind::Usual,
    };
    backlog.clear().await?;
    let mut relay = process::start(kind, &backlog.url, rig.platform.kafka(), &rig.options.settings).await?;
    let pid = relay.id().context("the relay runs")?;
    let some = backlog.events().div_ceil(WARM_UP * 16);
    let last = backlog.fill(shape, Some(i64::from(some))).await?;
    backlog.release(shape, last).await?;
    let published = publish(rig, backlog, shape, pid).await?;
    relay.kill().await?;
    Ok(published)
}

/// Lets the relay in process `pid`, which runs and has nothing to do, publish everything that is staged.
pub(crate) async fn publish(rig: &mut Rig, backlog: &mut Backlog, shape: Shape, pid: u32) -> Result<Published> {
    let fsync_milliseconds = rig.even_out().await?;
    let (last, produced) = (backlog.fill(shape, None).await?, backlog.produced().await?);
    let before = (Readings::take(&rig.platform, backlog.connection()).await?, cpu::of_process(pid)?);
    let took: Duration = backlog.release(shape, last).await?;
    let after = (Readings::take(&rig.platform, backlog.connection()).await?, cpu::of_process(pid)?);
    let events = u64::from(backlog.events());
    let produced = backlog.produced().await? - produced;
    // At least once: a partition that was slow may have got some twice.
    ensure!(produced.unsigned_abs() >= events, "{events} events are marked, but {produced} records were produced");
    let mut cost = after.0.per_order(&before.0, events);
    let of_relay = after.1.saturating_sub(before.1).as_secs_f64() * 1e6 / float(events);
    cost.cpu_microseconds.insert("relay", of_relay);
    cost.cpu_microseconds.retain(|part, _| PARTS.contains(part));
    Ok(Published {
        per_second: float(events) / took.as_secs_f64(),
        fsync_milliseconds,
        cpu_microseconds: cost.cpu_microseconds,
        log_bytes: cost.log_bytes,
    })
}

impl Relays {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row(["round", "usual/s", "ours/s", "ratio", "a row per event/s", "ratio", "fsync ms"])];
        for (number, round) in (1..).zip(&self.rounds) {
            let Round { usual, ours, ours_row_per_event: worst } = round;
            let probes = [usual, ours, worst].map(|published| format!("{:.2}", published.fsync_milliseconds));
            rows.push(vec![
                number.to_string(),
                format!("{:.0}", usual.per_second),
                format!("{:.0}", ours.per_second),
                format!("{:.2}", round.ratio()),
                format!("{:.0}", worst.per_second),
                format!("{:.2}", worst.per_second / usual.per_second),
                probes.join(" "),
            ]);
        }
        let costs = [
            row(["per event", "relay", "postgres", "kafka", "CPU µs", "WAL bytes"]),
            self.cost("usual", |round| &round.usual),
            self.cost("ours", |round| &round.ours),
            self.cost("ours, a row per event", |round| &round.ours_row_per_event),
        ];
        format!(
            "Relay: a backlog of {} events\n\n{}\n\n{}\n\n{}",
            self.events,
            table(&rows, &[]),
            table(&costs, &[0]),
            table(&[self.verdict.row()], &[0, 1, 2, 3, 4]),
        )
    }

    fn cost(&self, name: &str, of: impl Fn(&Round) -> &Published) -> Vec<String> {
        let figure = |figure: &dyn Fn(&Published) -> f64| median(self.rounds.iter().map(|round| figure(of(round))));
        let mut cells = vec![name.to_owned()];
        cells.extend(PARTS.map(|part| format!("{:.1}", figure(&|published| published.cpu_microseconds[part]))));
        cells.push(format!("{:.1}", figure(&|published| published.cpu_microseconds.values().sum())));
        cells.push(format!("{:.0}", figure(&|published| published.log_bytes)));
        cells
    }
}
