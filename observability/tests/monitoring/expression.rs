//! As much of PromQL as it takes to see which metrics and labels an expression names.

use std::collections::BTreeSet;

/// Words that are neither metrics nor functions.
const WORDS: [&str; 13] = [
    "and",
    "or",
    "unless",
    "by",
    "without",
    "on",
    "ignoring",
    "group_left",
    "group_right",
    "offset",
    "bool",
    "inf",
    "nan",
];
/// Functions with a word between name and arguments: `sum by (job) (…)`. All others are told by their parenthesis.
const AGGREGATIONS: [&str; 6] = ["sum", "min", "max", "avg", "count", "topk"];
/// Words before a list of labels.
const BEFORE_LABELS: [&str; 6] = ["by", "without", "on", "ignoring", "group_left", "group_right"];

/// What an expression names.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Named {
    pub(crate) metrics: BTreeSet<String>,
    pub(crate) labels: BTreeSet<String>,
}

/// Reads an expression; variables of Grafana may stand in strings and ranges.
pub(crate) fn names(expression: &str) -> Named {
    let mut named = Named::default();
    let mut rest = expression;
    let mut previous = String::new();
    let mut within_matchers = false;
    let mut within_labels = false;
    while let Some(first) = rest.chars().next() {
        match first {
            '"' | '\'' => rest = behind(&rest[1..], first),
            '[' => rest = behind(&rest[1..], ']'),
            '{' | '}' => {
                within_matchers = first == '{';
                rest = &rest[1..];
            }
            '(' | ')' => {
                within_labels = first == '(' && BEFORE_LABELS.contains(&previous.as_str());
                previous.clear();
                rest = &rest[1..];
            }
            _ if first.is_ascii_digit() => {
                rest = rest.trim_start_matches(|c: char| c.is_ascii_alphanumeric() || c == '.')
            }
            _ if is_part_of_name(first) => {
                let end = rest.find(|c| !is_part_of_name(c)).unwrap_or(rest.len());
                let (word, behind) = rest.split_at(end);
                rest = behind;
                if within_matchers || within_labels {
                    named.labels.insert(word.to_owned());
                } else if !WORDS.contains(&word)
                    && !AGGREGATIONS.contains(&word)
                    && !behind.trim_start().starts_with('(')
                {
                    named.metrics.insert(word.to_owned());
                }
                word.clone_into(&mut previous);
            }
            _ => rest = &rest[first.len_utf8()..],
        }
    }
    named
}

fn is_part_of_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

fn behind(text: &str, end: char) -> &str {
    text.find(end).map_or("", |at| &text[at + end.len_utf8()..])
}

#[test]
fn metrics_and_labels_of_an_expression_are_found() {
    let named = names(
        r#"histogram_quantile(0.99, sum by (job, le) (rate(some_seconds_bucket{outcome=~"a(b|c)", to!="x"}[$__rate_interval])))
           / on (slo) group_left (kind) max(level:metric:rate5m) > 14.4 unless other_total offset 15m or 0 * vector(1)"#,
    );
    let set = |words: &[&str]| words.iter().map(|&word| word.to_owned()).collect::<BTreeSet<_>>();
    assert_eq!(named.metrics, set(&["some_seconds_bucket", "level:metric:rate5m", "other_total"]));
    assert_eq!(named.labels, set(&["job", "le", "outcome", "to", "slo", "kind"]));
}
