//! What a run has found.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use super::fault::Kind;
use super::journal::Kept;
use crate::audit::Found;

/// A fault that lasts less has no throughput of its own.
const LONG_ENOUGH: Duration = Duration::from_secs(1);

/// What became of a run.
#[derive(Debug, Default)]
pub struct Report {
    /// Each fault, and what it cost.
    pub suffered: Vec<(Kind, Suffered)>,
    /// Orders that were decided while their caller waited.
    pub decided: u64,
    /// Promises that were checked.
    pub journal: Kept,
    /// What the audit has gone through; none when it found something.
    pub found: Option<Found>,
    /// Rules that are broken. Empty is what everything here is for.
    pub findings: Vec<String>,
}

/// What a fault has cost.
#[derive(Clone, Copy, Debug)]
pub struct Suffered {
    /// From its healing (the start of a process, a server that answers again) until an order was decided and no event waited any more.
    pub recovery: Duration,
    /// Orders decided per second before it.
    pub before: f64,
    /// And from its healing on.
    pub after: f64,
    /// From its beginning to its healing.
    pub lasted: Duration,
    /// Orders decided per second meanwhile.
    pub meanwhile: f64,
}

impl Suffered {
    /// Throughput after it by what it was before.
    #[must_use]
    pub fn ratio(&self) -> f64 {
        self.after / self.before.max(f64::MIN_POSITIVE)
    }
}

impl Report {
    /// Notes that a rule is broken.
    pub fn find(&mut self, finding: &anyhow::Error) {
        self.findings.push(format!("{finding:#}"));
    }
}

impl fmt::Display for Suffered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { recovery, before, after, lasted, meanwhile } = self;
        write!(f, "recovered in {:.2} s; orders/s {before:.0} before, ", recovery.as_secs_f64())?;
        if *lasted >= LONG_ENOUGH {
            write!(f, "{meanwhile:.0} in the {:.1} s of it, ", lasted.as_secs_f64())?;
        }
        write!(f, "{after:.0} after it ({:.2})", self.ratio())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut kinds: BTreeMap<Kind, Vec<Suffered>> = BTreeMap::new();
        for (kind, suffered) in &self.suffered {
            kinds.entry(*kind).or_default().push(*suffered);
        }
        writeln!(
            f,
            "{:16} {:>5} {:>30} {:>26}",
            "fault", "times", "recovery s p50 p99 max", "throughput after / before"
        )?;
        let all = self.suffered.iter().map(|(_, suffered)| *suffered).collect();
        let rows = kinds.into_iter().map(|(kind, suffered)| (kind.name(), suffered));
        for (name, suffered) in rows.chain(std::iter::once(("all", all))).filter(|(_, suffered)| !suffered.is_empty()) {
            let recovery = |part| quantile(suffered.iter().map(|one| one.recovery.as_secs_f64()), part);
            let ratio = |part| quantile(suffered.iter().map(Suffered::ratio), part);
            writeln!(
                f,
                "{name:16} {:>5} {:>14.2} {:>7.2} {:>7.2} {:>12.2} ({:.2} to {:.2})",
                suffered.len(),
                recovery(0.5),
                recovery(0.99),
                recovery(1.0),
                ratio(0.5),
                ratio(0.0),
                ratio(1.0)
            )?;
        }
        let Kept { sent, placed, ended } = self.journal;
        writeln!(
            f,
            "\njournal: {sent} placements sent, {placed} answered ({} decided at once), {ended} ended",
            self.decided
        )?;
        if let Some(Found { orders, events, duplicates }) = self.found {
            writeln!(f, "audit: {orders} orders, {events} events, {duplicates} of them published again")?;
        }
        if self.findings.is_empty() {
            return write!(f, "no rule is broken");
        }
        write!(f, "BROKEN:")?;
        self.findings.iter().try_for_each(|finding| write!(f, "\n  {finding}"))
    }
}

/// The value that this part of all values does not exceed.
fn quantile(values: impl Iterator<Item = f64>, part: f64) -> f64 {
    let mut values: Vec<f64> = values.collect();
    values.sort_by(f64::total_cmp);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss, reason = "a place")]
    let place = ((values.len() as f64 * part).ceil() as usize).clamp(1, values.len().max(1)) - 1;
    values.get(place).copied().unwrap_or_default()
}
