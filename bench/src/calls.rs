//! Two servers under the same load of calls, in turns.

use anyhow::{Result, ensure};
use figures::load::LoadReport;
use figures::table::row;
use serde::Serialize;

use crate::cost::float;
use crate::disk;
use crate::load::Load;
use crate::rig::{HOT_SKU, Rig, progress};

/// What is called, of which servers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sides<'a> {
    /// As `orderctl load` takes it.
    pub(crate) call: &'a str,
    /// The address of the one that is measured.
    pub(crate) ours: &'a str,
    /// The address of the one that it is compared with.
    pub(crate) bare: &'a str,
}

/// Both, once.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Round {
    ours: LoadReport,
    bare: LoadReport,
    fsync_milliseconds: f64,
}

impl Round {
    /// Calls per second, ours and theirs.
    fn rates(&self) -> [f64; 2] {
        [&self.ours, &self.bare].map(|report| float(report.answered("OK")) / report.seconds)
    }

    pub(crate) fn ratio(&self) -> f64 {
        let [ours, bare] = self.rates();
        ours / bare
    }
}

/// Calls both as often as the options say; who is first changes.
pub(crate) async fn rounds(rig: &Rig, name: &str, sides: Sides<'_>) -> Result<Vec<Round>> {
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("{name}, round {number} of {}", rig.options.pairs));
        let fsync_milliseconds = disk::fsync_milliseconds(rig.platform.folder())?;
        rounds.push(if number % 2 == 1 {
            let ours = load(rig, sides.call, sides.ours).await?;
            Round { ours, bare: load(rig, sides.call, sides.bare).await?, fsync_milliseconds }
        } else {
            let bare = load(rig, sides.call, sides.bare).await?;
            Round { ours: load(rig, sides.call, sides.ours).await?, bare, fsync_milliseconds }
        });
    }
    Ok(rounds)
}

/// The load generator first places the orders that it then reads or watches; that is not in its report.
async fn load(rig: &Rig, call: &str, orders: &str) -> Result<LoadReport> {
    let inventory = &rig.platform.inventory.address();
    let (callers, seconds) = (rig.options.callers, rig.options.seconds);
    let load = Load { orders, inventory, call, sku: Some(HOT_SKU), callers, seconds, rate: None };
    let (report, _) = load.run().await?;
    ensure!(report.answered("OK") > 0, "nothing was answered: {report:?}");
    Ok(report)
}

/// A table of all rounds, whose calls are called `ours` and `bare`.
pub(crate) fn rows(rounds: &[Round], ours: &str, bare: &str) -> Vec<Vec<String>> {
    let mut rows = vec![row(["round", ours, bare, "ratio", "p50 ms", "p99 ms", "bare p50", "bare p99", "fsync ms"])];
    for (number, round) in (1..).zip(rounds) {
        let [ours, bare] = round.rates();
        let latencies = [&round.ours, &round.bare].map(|report| report.latency_milliseconds);
        let mut cells = vec![number.to_string(), format!("{ours:.0}"), format!("{bare:.0}")];
        cells.push(format!("{:.2}", round.ratio()));
        cells.extend(latencies.iter().flat_map(|latency| [latency.p50, latency.p99]).map(|ms| format!("{ms:.2}")));
        cells.push(format!("{:.2}", round.fsync_milliseconds));
        rows.push(cells);
    }
    rows
}
