//! P3: all orders on one SKU, against pgbench's update of one row and against our own orders on many SKUs.

use anyhow::Result;
use figures::goal::{Bound, Goal, Verdict};
use figures::table::{row, table};
use serde::Serialize;

use crate::cost::Cost;
use crate::pgbench::Script;
use crate::rig::{HOT_SKU, Pgbenched, Placed, Rig, progress};

const TO_ONE_ROW: Goal =
    Goal { name: "P3", ratio: "one SKU / update of one row", bound: Bound::AtLeast, must: 4.0, aim: Some(10.0) };
const TO_MANY_SKUS: Goal =
    Goal { name: "P3", ratio: "one SKU / 10,000 SKUs", bound: Bound::AtLeast, must: 0.9, aim: Some(1.0) };

/// Both goals, and what they were computed from.
#[derive(Debug, Serialize)]
pub(crate) struct Hot {
    verdicts: [Verdict; 2],
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    one_row: Pgbenched,
    many_skus: Placed,
    one_sku: Placed,
}

impl Round {
    fn ratios(&self) -> [f64; 2] {
        [self.one_row.report.per_second, self.many_skus.per_second].map(|other| self.one_sku.per_second / other)
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Hot> {
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("hot, round {number} of {}", rig.options.pairs));
        rounds.push(if number % 2 == 1 {
            let one_row = rig.pgbench(Script::OneRow).await?;
            let many_skus = rig.place(None).await?;
            Round { one_row, many_skus, one_sku: rig.place(Some(HOT_SKU)).await? }
        } else {
            let one_sku = rig.place(Some(HOT_SKU)).await?;
            let many_skus = rig.place(None).await?;
            Round { one_row: rig.pgbench(Script::OneRow).await?, many_skus, one_sku }
        });
    }
    let ratio = |which: usize| rounds.iter().map(move |round| round.ratios()[which]);
    Ok(Hot { verdicts: [TO_ONE_ROW.judge(ratio(0)), TO_MANY_SKUS.judge(ratio(1))], rounds })
}

impl Hot {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "one row/s",
            "10,000 SKUs/s",
            "one SKU/s",
            "ratio",
            "ratio",
            "answered/s",
            "drain s",
            "p50 ms",
            "p99 ms",
            "fsync ms",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            let Round { one_row, many_skus, one_sku } = round;
            let [to_one_row, to_many_skus] = round.ratios();
            let probes = [one_row.fsync_milliseconds, many_skus.fsync_milliseconds, one_sku.fsync_milliseconds];
            rows.push(vec![
                number.to_string(),
                format!("{:.0}", one_row.report.per_second),
                format!("{:.0}", many_skus.per_second),
                format!("{:.0}", one_sku.per_second),
                format!("{to_one_row:.2}"),
                format!("{to_many_skus:.2}"),
                format!("{:.0}", one_sku.answered_per_second),
                format!("{:.2}", one_sku.drain_seconds),
                format!("{:.1}", one_sku.report.latency_milliseconds.p50),
                format!("{:.1}", one_sku.report.latency_milliseconds.p99),
                probes.map(|probe| format!("{probe:.2}")).join(" "),
            ]);
        }
        let costs = [
            row(Cost::HEADER),
            Cost::row("one SKU", self.rounds.iter().map(|round| &round.one_sku.cost)),
            Cost::row("10,000 SKUs", self.rounds.iter().map(|round| &round.many_skus.cost)),
            Cost::row("update of one row", self.rounds.iter().map(|round| &round.one_row.cost)),
        ];
        format!(
            "PlaceOrder on one SKU\n\n{}\n\n{}\n\n{}",
            table(&rows, &[]),
            table(&costs, &[0]),
            table(&self.verdicts.map(|verdict| verdict.row()), &[0, 1, 2, 3, 4]),
        )
    }
}
