//! Prometheus: what it has, and whether the dashboards find in it what they show.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::http;
use crate::waiting::within;

/// What Grafana puts in for its variables; 15 s are between two scrapes.
const VARIABLES: [(&str, &str); 4] =
    [("$__rate_interval", "1m"), ("$__interval", "15s"), ("$__range", "15m"), ("$job", ".*")];
/// In a panel's description: where nothing is wrong there is nothing to show.
const MAY_BE_EMPTY: &str = "[may be empty]";

/// A Prometheus server.
#[derive(Clone, Debug)]
pub struct Prometheus(String);

/// One query of a panel.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PanelQuery {
    place: String,
    expression: String,
    may_be_empty: bool,
}

impl Prometheus {
    /// The server at this URL.
    #[must_use]
    pub fn at(url: &str) -> Self {
        Self(url.trim_end_matches('/').to_owned())
    }

    /// The values that an instant query gives, and their labels as JSON.
    ///
    /// # Errors
    /// The server does not answer, or not with a result.
    pub async fn query(&self, expression: &str) -> Result<Vec<(Value, f64)>> {
        let url = format!("{}/api/v1/query?query={}", self.0, percent_encoded(expression));
        let (status, body) = http::get(&url).await?;
        ensure!(status == 200, "{expression} is answered with {status}: {body}");
        let answer: Value = serde_json::from_str(&body)?;
        let series = answer["data"]["result"].as_array().with_context(|| format!("{expression} gives {body}"))?;
        let value = |one: &Value| {
            let text = one["value"][1].as_str().context("a value")?;
            Ok((one["metric"].clone(), text.parse()?))
        };
        series.iter().map(value).collect()
    }

    /// Waits until a query gives so many series.
    ///
    /// # Errors
    /// What it gives after `limit`.
    pub async fn has(&self, expression: &str, series: usize, limit: Duration) -> Result<Vec<(Value, f64)>> {
        within(limit, async || {
            let found = self.query(expression).await?;
            ensure!(found.len() == series, "{expression} gives {} series instead of {series}: {found:?}", found.len());
            Ok(found)
        })
        .await
    }

    /// Waits until every query gives a number, those apart that may give none.
    ///
    /// # Errors
    /// The queries that fail or are empty after `limit`.
    pub async fn answers_all(&self, queries: &[PanelQuery], limit: Duration) -> Result<()> {
        ensure!(!queries.is_empty(), "there is no query");
        within(limit, async || {
            let mut problems = Vec::new();
            for PanelQuery { place, expression, may_be_empty } in queries {
                match self.query(expression).await {
                    Ok(found) if *may_be_empty || found.iter().any(|(_, value)| !value.is_nan()) => {}
                    Ok(_) => problems.push(format!("{place} is empty: {expression}")),
                    Err(error) => problems.push(format!("{place}: {error:#}")),
                }
            }
            ensure!(problems.is_empty(), "{}", problems.join("\n"));
            Ok(())
        })
        .await
    }
}

/// The queries of all dashboards in a folder.
///
/// # Errors
/// The folder or a dashboard can't be read.
pub fn queries_of_dashboards(folder: &Path) -> Result<Vec<PanelQuery>> {
    let mut queries = Vec::new();
    let files = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    for file in files {
        let path = file?.path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let dashboard = serde_json::from_str(&fs::read_to_string(&path)?);
            let dashboard: Value = dashboard.with_context(|| format!("{} is no JSON", path.display()))?;
            collect(&dashboard, dashboard["title"].as_str().context("a dashboard has a title")?, &mut queries);
        }
    }
    Ok(queries)
}

/// Panels may hold panels: rows do.
fn collect(holder: &Value, title: &str, queries: &mut Vec<PanelQuery>) {
    for panel in holder["panels"].as_array().into_iter().flatten() {
        let may_be_empty = panel["description"].as_str().is_some_and(|text| text.contains(MAY_BE_EMPTY));
        for target in panel["targets"].as_array().into_iter().flatten() {
            if let Some(expression) = target["expr"].as_str() {
                let replace = |text: String, (name, value): (&str, &str)| text.replace(name, value);
                let expression = VARIABLES.into_iter().fold(expression.to_owned(), replace);
                let place = format!("{title} / {}", panel["title"].as_str().unwrap_or_default());
                queries.push(PanelQuery { place, expression, may_be_empty });
            }
        }
        collect(panel, title, queries);
    }
}

fn percent_encoded(text: &str) -> String {
    let encode = |byte: u8| {
        let plain = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~');
        if plain { char::from(byte).to_string() } else { format!("%{byte:02X}") }
    };
    text.bytes().map(encode).collect()
}
