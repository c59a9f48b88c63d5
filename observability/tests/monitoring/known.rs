//! The metrics and labels that exist.

use std::collections::{BTreeMap, BTreeSet};

use crate::expression;
use crate::{file, rules};

/// Metrics that no code of ours makes, and who does.
const OTHERS: [(&str, &str); 5] = [
    ("up", "Prometheus, for each target"),
    ("scrape_duration_seconds", "Prometheus, for each target"),
    ("ALERTS", "Prometheus, for each alert that is pending or firing"),
    ("traces_span_metrics_calls_total", "Jaeger, of all spans: observability/jaeger/jaeger.yaml"),
    ("traces_span_metrics_duration_seconds_bucket", "Jaeger, of all spans: observability/jaeger/jaeger.yaml"),
];

/// Labels that are not in the help of a metric's name: of Prometheus, of alerts and rules, of Jaeger's span metrics.
const OTHER_LABELS: [&str; 12] = [
    "job",
    "instance",
    "le",
    "slo",
    "alertstate",
    "severity",
    "service",
    "version",
    "service_name",
    "span_name",
    "span_kind",
    "status_code",
];

/// What expressions may name.
pub(crate) struct Known {
    metrics: BTreeSet<String>,
    labels: BTreeSet<String>,
}

impl Known {
    /// From `names.rs`, the recording rules and [`OTHERS`].
    pub(crate) fn read() -> Self {
        let source = file("src/names.rs");
        let mut metrics: BTreeSet<String> = OTHERS.iter().map(|(name, _)| (*name).to_owned()).collect();
        for (name, help) in of_the_code(&source) {
            if help.contains("Histogram") {
                metrics.extend(["bucket", "count", "sum"].map(|part| format!("{name}_{part}")));
            } else {
                metrics.insert(name);
            }
        }
        metrics.extend(rules::all().into_iter().filter(|rule| !rule.is_alert).map(|rule| rule.name));
        let mut labels: BTreeSet<String> = OTHER_LABELS.map(str::to_owned).into();
        // Every label of the contract stands in backticks in the comment above a name, or is one of these words.
        labels.extend(["outcome", "reason", "from", "to", "partition"].map(str::to_owned));
        labels.extend(source.split('`').skip(1).step_by(2).filter(|word| word.contains('_')).map(str::to_owned));
        Self { metrics, labels }
    }

    /// What an expression names and what does not exist.
    pub(crate) fn unknown_in(&self, expression: &str) -> Vec<String> {
        let named = expression::names(expression);
        let metrics = named.metrics.difference(&self.metrics).map(|name| format!("metric {name}"));
        let labels = named.labels.difference(&self.labels).map(|name| format!("label {name}"));
        metrics.chain(labels).collect()
    }
}

/// Names in `names.rs` with the comments above them.
fn of_the_code(source: &str) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut comment = String::new();
    for line in source.lines() {
        if let Some(text) = line.strip_prefix("///") {
            comment.push_str(text);
        } else {
            if let Some((_, value)) = line.split_once(": &str = \"") {
                names.insert(value.trim_end_matches("\";").to_owned(), comment.clone());
            }
            comment.clear();
        }
    }
    names
}

#[test]
fn names_of_the_code_are_known_in_the_form_that_prometheus_stores() {
    let known = Known::read();
    assert_eq!(known.unknown_in("rate(rpc_server_call_duration_seconds_count[5m]) / outbox_pending_messages"), [""; 0]);
    assert_eq!(
        known.unknown_in(r#"sum by (jobb) (rpc_server_call_duration_seconds{rpc_methd="a"})"#),
        ["metric rpc_server_call_duration_seconds", "label jobb", "label rpc_methd"]
    );
}
