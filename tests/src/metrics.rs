//! A page of Prometheus' text format, read.

use std::collections::{BTreeMap, BTreeSet};

/// One line.
#[derive(Clone, Debug, PartialEq)]
pub struct Sample {
    /// With `_bucket`, `_sum` and `_count` where it is a part of a histogram.
    pub name: String,
    /// By name.
    pub labels: BTreeMap<String, String>,
    /// The value.
    pub value: f64,
}

/// A page.
#[derive(Clone, Debug, Default)]
pub struct Metrics {
    /// `counter`, `gauge`, `histogram` by metric.
    pub types: BTreeMap<String, String>,
    /// All lines.
    pub samples: Vec<Sample>,
}

impl Metrics {
    /// Reads a page.
    ///
    /// # Panics
    /// On a line that is not in the format.
    #[must_use]
    pub fn parse(page: &str) -> Self {
        let mut metrics = Self::default();
        for line in page.lines() {
            if let Some(kind) = line.strip_prefix("# TYPE ") {
                let (name, kind) = kind.split_once(' ').expect("a TYPE line has a name and a type");
                metrics.types.insert(name.to_owned(), kind.to_owned());
            } else if !line.is_empty() && !line.starts_with('#') {
                metrics.samples.push(Sample::parse(line));
            }
        }
        metrics
    }

    /// Samples of that name whose labels include these.
    pub fn select<'a>(&'a self, name: &'a str, labels: &'a [(&str, &str)]) -> impl Iterator<Item = &'a Sample> {
        self.samples.iter().filter(move |sample| {
            sample.name == name
                && labels.iter().all(|(label, value)| sample.labels.get(*label).is_some_and(|found| found == value))
        })
    }

    /// The sum of those samples' values.
    #[must_use]
    pub fn sum(&self, name: &str, labels: &[(&str, &str)]) -> f64 {
        // `sum` of nothing is -0, which would be printed so.
        self.select(name, labels).fold(0.0, |sum, sample| sum + sample.value)
    }

    /// Label names of a metric's series, `le` of buckets left out; each set once.
    #[must_use]
    pub fn label_sets(&self, metric: &str) -> BTreeSet<BTreeSet<String>> {
        let parts = ["", "_bucket", "_sum", "_count"].map(|suffix| format!("{metric}{suffix}"));
        let of_metric = self.samples.iter().filter(|sample| parts.contains(&sample.name));
        of_metric.map(|sample| sample.labels.keys().filter(|name| *name != "le").cloned().collect()).collect()
    }

    /// Values of one label of a metric.
    #[must_use]
    pub fn values(&self, metric: &str, label: &str) -> BTreeSet<String> {
        self.samples
            .iter()
            .filter(|sample| sample.name.starts_with(metric))
            .filter_map(|sample| sample.labels.get(label).cloned())
            .collect()
    }
}

impl Sample {
    fn parse(line: &str) -> Self {
        let (series, value) = line.rsplit_once(' ').expect("a sample has a value");
        let value = value.parse().expect("a sample's value is a number");
        let (name, labels) = match series.split_once('{') {
            Some((name, labels)) => (name, labels.strip_suffix('}').expect("labels end with a brace")),
            None => (series, ""),
        };
        // A value may hold a comma (several addresses), and none of ours holds a quote.
        let labels = labels.split_terminator('"').map(|part| part.trim_matches([',', '='])).collect::<Vec<_>>();
        let labels =
            labels.chunks(2).map(|pair| (pair[0].to_owned(), pair.get(1).copied().unwrap_or_default().to_owned()));
        Self { name: name.to_owned(), labels: labels.collect(), value }
    }
}
