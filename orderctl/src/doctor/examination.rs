//! What becomes of a check, and the report.

use std::collections::HashMap;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::check::Check;
use crate::output;

/// What is wrong with a hop.
#[derive(Debug)]
pub(super) enum Trouble {
    /// This one is broken.
    Broken {
        /// What was seen.
        what: String,
        /// What to do about it.
        next: String,
    },
    /// Another one is, and that was said.
    FollowsFrom(Check),
    /// There is nothing to check.
    NotThere(String),
}

/// A hop that is broken: what was seen, and what to do.
pub(super) fn broken(what: impl Into<String>, next: impl Into<String>) -> Trouble {
    Trouble::Broken { what: what.into(), next: next.into() }
}

/// The checks so far. A line is printed for each as it is done.
pub(super) struct Examination {
    json: bool,
    standings: HashMap<Check, Status>,
    findings: Vec<Finding>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Fine,
    Failed,
    Skipped,
}

/// A line of the report.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Finding {
    name: &'static str,
    status: Status,
    took_ms: u64,
    /// What was seen; of a check that was skipped, why.
    text: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<String>,
}

#[derive(Serialize)]
struct Report<'findings> {
    healthy: bool,
    checks: &'findings [Finding],
}

impl Examination {
    pub(super) fn begin(json: bool) -> Self {
        Self { json, standings: HashMap::new(), findings: Vec::new() }
    }

    /// Runs a check if everything that it needs is fine, and prints what became of it. `Some` is what a check that was
    /// fine has found for those after it.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(super) async fn check<T>(
        &mut self,
        check: Check,
        look: impl Future<Output = Result<(String, T), Trouble>>,
    ) -> anyhow::Result<Option<T>> {
        let begun = Instant::now();
        let needed = check.needs().into_iter().find(|needed| !self.is_fine(*needed));
        let outcome = match needed {
            Some(needed) => Err(Trouble::FollowsFrom(needed)),
            None => look.await,
        };
        let took = begun.elapsed();
        let (status, text, next, found) = match outcome {
            Ok((text, found)) => (Status::Fine, text, None, Some(found)),
            Err(Trouble::Broken { what, next }) => (Status::Failed, what, Some(next), None),
            Err(Trouble::FollowsFrom(cause)) => (Status::Skipped, format!("needs {}", cause.name()), None, None),
            Err(Trouble::NotThere(why)) => (Status::Skipped, why, None, None),
        };
        self.standings.insert(check, status);
        self.add(Finding { name: check.name(), status, took_ms: milliseconds(took), text, next })?;
        Ok(found)
    }

    pub(super) fn is_fine(&self, check: Check) -> bool {
        self.standings.get(&check) == Some(&Status::Fine)
    }

    /// Prints the sum; exit code 1 when something is broken.
    ///
    /// # Errors
    /// Standard output can't be written.
    pub(super) fn finish(self) -> anyhow::Result<ExitCode> {
        let count = |status| self.findings.iter().filter(|finding| finding.status == status).count();
        let (fine, failed, skipped) = (count(Status::Fine), count(Status::Failed), count(Status::Skipped));
        if self.json {
            output::print_json(&Report { healthy: failed == 0, checks: &self.findings })?;
        } else {
            output::print(&format!("{fine} fine, {failed} failed, {skipped} not checked"))?;
        }
        Ok(if failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn add(&mut self, finding: Finding) -> anyhow::Result<()> {
        if !self.json {
            output::print(&finding.line())?;
        }
        self.findings.push(finding);
        Ok(())
    }
}

impl Finding {
    /// `✓ kafka                  12 ms  1 broker`, and a second line with what to do.
    fn line(&self) -> String {
        let mark = match self.status {
            Status::Fine => '✓',
            Status::Failed => '✗',
            Status::Skipped => '–',
        };
        let next = self.next.as_ref().map(|next| format!("\n    next: {next}")).unwrap_or_default();
        format!("{mark} {:<22} {:>6} ms  {}{next}", self.name, self.took_ms, self.text)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Part;

    #[tokio::test]
    async fn what_needs_a_broken_hop_is_neither_looked_at_nor_blamed() {
        let mut examination = Examination::begin(true);
        let look = async { Err::<(String, ()), _>(broken("no answer", "start it")) };
        assert!(examination.check(Check::Kafka, look).await.expect("it prints nothing").is_none());
        let unwanted = async { unreachable!("it is not looked at") };
        let found: Option<()> = examination.check(Check::Topics, unwanted).await.expect("it prints nothing");
        assert!(found.is_none());
        let fine = async { Ok(("1 broker".to_owned(), 7)) };
        let found = examination.check(Check::Answers(Part::Order), fine).await.expect("it prints nothing");
        assert_eq!(found, Some(7));
        let seen: Vec<(&str, Status, &str)> =
            examination.findings.iter().map(|finding| (finding.name, finding.status, &*finding.text)).collect();
        let expected = [
            ("kafka", Status::Failed, "no answer"),
            ("topics", Status::Skipped, "needs kafka"),
            ("order-svc", Status::Fine, "1 broker"),
        ];
        assert_eq!(seen, expected);
        assert_eq!(examination.findings[0].line(), "✗ kafka                       0 ms  no answer\n    next: start it");
    }

    #[test]
    fn no_check_needs_itself_in_the_end() {
        let parts = [Part::Order, Part::Inventory];
        let mut open: Vec<(Check, usize)> =
            parts.into_iter().flat_map(|part| [(Check::Metrics(part), 0), (Check::Consumer(part), 0)]).collect();
        open.extend([(Check::StockBack, 0), (Check::Trace, 0), (Check::Dashboards, 0)]);
        while let Some((check, depth)) = open.pop() {
            assert!(depth < 20, "{check:?} needs itself");
            open.extend(check.needs().into_iter().map(|needed| (needed, depth + 1)));
        }
    }
}
