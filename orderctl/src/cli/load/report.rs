//! What was counted, for people and for programs.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hdrhistogram::Histogram;
use serde::Serialize;

use super::workload::is_confirmed;

/// Latencies are kept to three digits, from a microsecond to an hour.
const HIGHEST: u64 = 3_600_000_000;
const DIGITS: u8 = 3;

/// What some callers, or all of them, have seen.
#[derive(Debug)]
pub(super) struct Tally {
    /// In microseconds, of answered calls.
    latency: Histogram<u64>,
    /// The same, of those that failed.
    failure_latency: Histogram<u64>,
    answers: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
}

impl Tally {
    pub(super) fn new() -> Self {
        let histogram = || Histogram::new_with_bounds(1, HIGHEST, DIGITS).expect("the bounds are in order");
        let (latency, failure_latency) = (histogram(), histogram());
        Self { latency, failure_latency, answers: BTreeMap::new(), failures: BTreeMap::new() }
    }

    pub(super) fn count(&mut self, outcome: Result<&'static str, String>, latency: Duration) {
        let (histogram, count) = match outcome {
            Ok(answer) => (&mut self.latency, self.answers.entry(answer.to_owned()).or_default()),
            Err(failure) => (&mut self.failure_latency, self.failures.entry(failure).or_default()),
        };
        histogram.saturating_record(u64::try_from(latency.as_micros()).unwrap_or(HIGHEST));
        *count += 1;
    }

    /// Of a call whose time is of no interest.
    pub(super) fn count_failure(&mut self, failure: String) {
        *self.failures.entry(failure).or_default() += 1;
    }

    pub(super) fn count_lost_caller(&mut self) {
        self.count_failure("caller panicked".to_owned());
    }

    pub(super) fn add(&mut self, other: &Self) {
        let histograms = [(&mut self.latency, &other.latency), (&mut self.failure_latency, &other.failure_latency)];
        for (mine, theirs) in histograms {
            mine.add(theirs).expect("all histograms have the same bounds");
        }
        for (mine, theirs) in [(&mut self.answers, &other.answers), (&mut self.failures, &other.failures)] {
            for (name, count) in theirs {
                *mine.entry(name.clone()).or_default() += count;
            }
        }
    }
}

/// The result of a load.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    seconds: f64,
    offered_per_second: Option<u32>,
    /// Calls whose time came while every caller was busy; none of them is among the latencies.
    not_sent: u64,
    calls: u64,
    calls_per_second: f64,
    confirmed_per_second: f64,
    answers: BTreeMap<String, u64>,
    failures: BTreeMap<String, u64>,
    /// Of answered calls.
    latency_milliseconds: Latency,
    /// Of failed ones, when there are any.
    failure_latency_milliseconds: Option<Latency>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Latency {
    p50: f64,
    p90: f64,
    p99: f64,
    p999: f64,
    max: f64,
}

impl Latency {
    fn of(microseconds: &Histogram<u64>) -> Self {
        let milliseconds = |quantile| float(microseconds.value_at_quantile(quantile)) / 1_000.0;
        Self {
            p50: milliseconds(0.5),
            p90: milliseconds(0.9),
            p99: milliseconds(0.99),
            p999: milliseconds(0.999),
            max: milliseconds(1.0),
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { p50, p90, p99, p999, max } = self;
        write!(formatter, "p50 {p50:.2} ms  p90 {p90:.2} ms  p99 {p99:.2} ms  p99.9 {p999:.2} ms  max {max:.1} ms")
    }
}

impl Report {
    pub(super) fn new(tally: &Tally, took: Duration, offered_per_second: Option<u32>, asked: Duration) -> Self {
        let seconds = took.as_secs_f64();
        let offered = offered_per_second.map_or(0, |rate| u64::from(rate).saturating_mul(asked.as_secs()));
        let calls: u64 = tally.answers.values().chain(tally.failures.values()).sum();
        let confirmed = tally.answers.iter().filter(|(name, _)| is_confirmed(name)).map(|(_, count)| count).sum();
        Self {
            seconds,
            offered_per_second,
            not_sent: offered.saturating_sub(calls),
            calls,
            calls_per_second: float(calls) / seconds,
            confirmed_per_second: float(confirmed) / seconds,
            answers: tally.answers.clone(),
            failures: tally.failures.clone(),
            latency_milliseconds: Latency::of(&tally.latency),
            failure_latency_milliseconds: (!tally.failure_latency.is_empty())
                .then(|| Latency::of(&tally.failure_latency)),
        }
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 calls or microseconds")]
fn float(number: u64) -> f64 {
    number as f64
}

impl fmt::Display for Report {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { seconds, calls, calls_per_second, answers, failures, latency_milliseconds: latency, .. } = self;
        writeln!(formatter, "{calls} calls in {seconds:.1} s, {calls_per_second:.0}/s")?;
        if let Some(offered) = self.offered_per_second {
            writeln!(formatter, "offered {offered}/s; latency counts from the time at which a call was to be sent")?;
            if self.not_sent > 0 {
                writeln!(formatter, "  {:>9}  not sent: every caller was busy until the end", self.not_sent)?;
            }
        }
        for (name, count) in answers {
            writeln!(formatter, "  {count:>9}  {name}")?;
        }
        for (name, count) in failures {
            writeln!(formatter, "  {count:>9}  failed: {name}")?;
        }
        write!(formatter, "latency  {latency}")?;
        if let Some(latency) = &self.failure_latency_milliseconds {
            write!(formatter, "\nlatency of failed calls  {latency}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn report_adds_up_what_the_callers_saw() {
        let mut all = Tally::new();
        for (answer, milliseconds) in [("CONFIRMED", 1), ("CONFIRMED", 3), ("PENDING", 1_000)] {
            let mut one = Tally::new();
            one.count(Ok(answer), Duration::from_millis(milliseconds));
            all.add(&one);
        }
        all.count(Err("Unavailable (DRAINING)".to_owned()), Duration::from_millis(2));
        let report = Report::new(&all, Duration::from_secs(2), None, Duration::from_secs(2));
        assert_eq!((report.calls, report.confirmed_per_second), (4, 1.0));
        assert!(report.latency_milliseconds.p50 >= 3.0 && report.latency_milliseconds.p50 < 3.1);
        assert!(report.failure_latency_milliseconds.as_ref().is_some_and(|latency| latency.max < 2.1));
        let text = report.to_string();
        let overloaded = Report::new(&all, Duration::from_secs(2), Some(10), Duration::from_secs(2));
        assert_eq!(overloaded.not_sent, 16);
        assert!(text.contains("4 calls in 2.0 s, 2/s") && text.contains("1  failed: Unavailable (DRAINING)"), "{text}");
    }
}
