//! What `orderctl load --json` prints.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::{Deserialize, Serialize};

/// The result of a load.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LoadReport {
    /// From the first call to the last answer.
    pub seconds: f64,
    /// Calls of an open loop whose time came while every caller was busy.
    #[serde(default)]
    pub not_sent: u64,
    /// Answers by kind: `CONFIRMED`, `PENDING`, …
    pub answers: BTreeMap<String, u64>,
    /// Calls that failed, by reason.
    pub failures: BTreeMap<String, u64>,
    /// Of answered calls.
    pub latency_milliseconds: Latency,
    /// Of those that failed, if any did.
    #[serde(default)]
    pub failure_latency_milliseconds: Option<Latency>,
}

/// Quantiles in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, Serialize)]
pub struct Latency {
    /// Half of the calls took at most this.
    pub p50: f64,
    /// 99 % of the calls took at most this.
    pub p99: f64,
}

impl LoadReport {
    /// Reads the one line that the load generator prints.
    ///
    /// # Errors
    /// It is something else.
    pub fn parse(line: &str) -> Result<Self> {
        serde_json::from_str(line).with_context(|| format!("the load generator printed {line:?}"))
    }

    /// Calls that were answered in this way.
    #[must_use]
    pub fn answered(&self, answer: &str) -> u64 {
        self.answers.get(answer).copied().unwrap_or_default()
    }

    /// Calls that failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.failures.values().sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_is_read() {
        let line = r#"{"seconds":2.0,"offeredPerSecond":null,"notSent":0,"calls":4,"callsPerSecond":2.0,
            "confirmedPerSecond":1.0,"answers":{"CONFIRMED":2,"PENDING":1},"failures":{"Unavailable":1},
            "latencyMilliseconds":{"p50":1.5,"p90":2.0,"p99":3.0,"p999":3.0,"max":3.0},
            "failureLatencyMilliseconds":{"p50":0.5,"p90":0.5,"p99":0.5,"p999":0.5,"max":0.5}}"#;
        let report = LoadReport::parse(line).unwrap();
        assert_eq!((report.answered("CONFIRMED"), report.answered("OK"), report.failed()), (2, 0, 1));
        assert_eq!(report.latency_milliseconds.p99, 3.0);
        assert_eq!(report.failure_latency_milliseconds.unwrap().p99, 0.5);
        assert!(LoadReport::parse("error: nothing listens").is_err());
    }
}
