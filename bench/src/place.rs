//! P1 and P2: orders on 10,000 SKUs, against pgbench.

use anyhow::Result;
use figures::goal::{Bound, Goal, Verdict};
use figures::spread::median;
use figures::table::{row, table};
use serde::Serialize;

use crate::cost::Cost;
use crate::pgbench::Script;
use crate::rig::{Pgbenched, Placed, Rig, progress};

const P1: Goal = Goal { name: "P1", ratio: "ours / one statement", bound: Bound::AtLeast, must: 0.6, aim: Some(1.0) };
const P2: Goal = Goal { name: "P2", ratio: "ours / naive", bound: Bound::AtLeast, must: 1.0, aim: Some(2.0) };

/// Both goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Place {
    verdicts: [Verdict; 2],
    rounds: Vec<Round>,
    /// Start and warm-up of the services, which no figure counts.
    restart_seconds: f64,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    one_statement: Pgbenched,
    naive: Pgbenched,
    ours: Placed,
}

impl Round {
    fn ratios(&self) -> [f64; 2] {
        [&self.one_statement, &self.naive].map(|pgbench| self.ours.per_second / pgbench.report.per_second)
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Place> {
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("place, round {number} of {}", rig.options.pairs));
        // Whoever comes first may find a faster or a slower disk: the sides take turns.
        rounds.push(if number % 2 == 1 {
            let one_statement = rig.pgbench(Script::OneStatement).await?;
            let naive = rig.pgbench(Script::Naive).await?;
            Round { one_statement, naive, ours: ours(rig).await? }
        } else {
            let ours = ours(rig).await?;
            let naive = rig.pgbench(Script::Naive).await?;
            Round { one_statement: rig.pgbench(Script::OneStatement).await?, naive, ours }
        });
    }
    let ratio = |which: usize| rounds.iter().map(move |round| round.ratios()[which]);
    let verdicts = [P1.judge(ratio(0)), P2.judge(ratio(1))];
    let restart_seconds = median(rig.restarts.iter().copied());
    Ok(Place { verdicts, rounds, restart_seconds })
}

async fn ours(rig: &mut Rig) -> Result<Placed> {
    // A start of its own for each, so that each has the same past, and so that fsyncs can be counted.
    rig.services_down().await?;
    let mut placed = rig.place(None).await?;
    placed.cost.fsyncs = rig.services_down().await?;
    Ok(placed)
}

impl Place {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "one statement/s",
            "naive/s",
            "ours/s",
            "ratio",
            "ratio",
            "answered/s",
            "drain s",
            "p50 ms",
            "p99 ms",
            "fsync ms",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            let Round { one_statement, naive, ours } = round;
            let [to_one_statement, to_naive] = round.ratios();
            let probes = [one_statement.fsync_milliseconds, naive.fsync_milliseconds, ours.fsync_milliseconds];
            rows.push(vec![
                number.to_string(),
                format!("{:.0}", one_statement.report.per_second),
                format!("{:.0}", naive.report.per_second),
                format!("{:.0}", ours.per_second),
                format!("{to_one_statement:.2}"),
                format!("{to_naive:.2}"),
                format!("{:.0}", ours.answered_per_second),
                format!("{:.2}", ours.drain_seconds),
                format!("{:.1}", ours.report.latency_milliseconds.p50),
                format!("{:.1}", ours.report.latency_milliseconds.p99),
                probes.map(|probe| format!("{probe:.2}")).join(" "),
            ]);
        }
        let costs = [
            row(Cost::HEADER),
            Cost::row("ours", self.rounds.iter().map(|round| &round.ours.cost)),
            Cost::row("one statement", self.rounds.iter().map(|round| &round.one_statement.cost)),
            Cost::row("naive", self.rounds.iter().map(|round| &round.naive.cost)),
        ];
        format!(
            "PlaceOrder on 10,000 SKUs (starts of the services, {:.1} s each, are not counted)\n\n{}\n\n{}\n\n{}",
            self.restart_seconds,
            table(&rows, &[]),
            table(&costs, &[0]),
            table(&self.verdicts.map(|verdict| verdict.row()), &[0, 1, 2, 3, 4]),
        )
    }
}
