//! What pgbench prints.

use anyhow::{Context as _, Result, ensure};
use serde::Serialize;

/// The result of a run.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PgbenchReport {
    /// Transactions that were committed.
    pub transactions: u64,
    /// The same per second, without the time for connecting.
    pub per_second: f64,
    /// Mean.
    pub latency_milliseconds: f64,
}

impl PgbenchReport {
    /// Reads what pgbench prints at its end.
    ///
    /// # Errors
    /// A line is missing, or transactions have failed.
    pub fn parse(printed: &str) -> Result<Self> {
        // Postgres 15 and later count them.
        let failed = after(printed, "number of failed transactions: ").unwrap_or("0");
        ensure!(failed == "0", "{failed} transactions of pgbench have failed:\n{printed}");
        let number = |prefix| after(printed, prefix).with_context(|| format!("no {prefix:?} in:\n{printed}"));
        Ok(Self {
            transactions: number("number of transactions actually processed: ")?.parse()?,
            per_second: number("tps = ")?.parse()?,
            latency_milliseconds: number("latency average = ")?.parse()?,
        })
    }
}

/// The first word behind `prefix`.
fn after<'printed>(printed: &'printed str, prefix: &str) -> Option<&'printed str> {
    printed.lines().find_map(|line| line.strip_prefix(prefix))?.split_whitespace().next()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PRINTED: &str = "\
pgbench (15.18 (Debian 15.18-0+deb12u1))
transaction type: one_row.sql
scaling factor: 1
query mode: prepared
number of clients: 64
number of threads: 2
maximum number of tries: 1
duration: 10 s
number of transactions actually processed: 15234
number of failed transactions: 0 (0.000%)
latency average = 41.904 ms
initial connection time = 55.034 ms
tps = 1527.281553 (without initial connection time)
";

    #[test]
    fn result_is_read() {
        let expected = PgbenchReport { transactions: 15_234, per_second: 1_527.281_553, latency_milliseconds: 41.904 };
        assert_eq!(PgbenchReport::parse(PRINTED).unwrap(), expected);
    }

    #[test]
    fn failures_and_other_texts_are_no_result() {
        let failed = PRINTED.replace("transactions: 0 (0.000%)", "transactions: 7 (0.046%)");
        assert!(PgbenchReport::parse(&failed).unwrap_err().to_string().starts_with("7 transactions"));
        assert!(PgbenchReport::parse("pgbench: error: connection refused").is_err());
    }
}
