//! What Prometheus has of the platform, and what the dashboards show of it.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use serde::Deserialize;
use serde_json::Value;

use super::Place;
use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use crate::client::Address;
use crate::http;

/// Where it is asked for when nobody says where it is.
const USUAL_ADDRESS: &str = "http://127.0.0.1:9090";
const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(500);

/// A panel whose description has this may show nothing: one of errors, say.
const MAY_BE_EMPTY: &str = "[may be empty]";
/// What Grafana puts in for its own variables.
const BUILT_IN: [(&str, &str); 5] = [
    ("__rate_interval", "1m"),
    ("__interval_ms", "15000"),
    ("__interval", "15s"),
    ("__range_s", "900"),
    ("__range", "15m"),
];

#[derive(Deserialize)]
struct Targets {
    data: TargetsData,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TargetsData {
    active_targets: Vec<Target>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Target {
    labels: BTreeMap<String, String>,
    scrape_url: String,
    health: String,
    #[serde(default)]
    last_error: String,
}

/// Whether Prometheus scrapes both services; its address, if so.
pub(super) async fn prometheus(
    examination: &mut Examination,
    given: Option<&Address>,
    places: &[Place<'_>],
    wait: Duration,
) -> anyhow::Result<Option<String>> {
    let address = given.map_or_else(|| USUAL_ADDRESS.to_owned(), ToString::to_string);
    let answering: Vec<bool> = places.iter().map(|place| examination.is_fine(Check::Answers(place.part))).collect();
    let look = async {
        let begun = Instant::now();
        loop {
            let targets = match targets(&address).await {
                Ok(targets) => targets,
                Err(_) if given.is_none() => {
                    return Err(Trouble::NotThere(format!("nothing listens at {address}; --prometheus names another")));
                }
                Err(error) => {
                    return Err(broken(format!("{address}: {error:#}"), "is Prometheus running? Or pass --prometheus"));
                }
            };
            let trouble = places.iter().zip(&answering).find_map(|(place, answers)| {
                let trouble = scraped(&targets, place.service()).err()?;
                Some(if *answers { trouble } else { Trouble::FollowsFrom(Check::Answers(place.part)) })
            });
            match trouble {
                None => return Ok((format!("scrapes both services ({address})"), address.clone())),
                // A target that is new, or came back, is scraped with the next round.
                Some(Trouble::Broken { .. }) if begun.elapsed() < wait => tokio::time::sleep(POLL).await,
                Some(trouble) => return Err(trouble),
            }
        }
    };
    examination.check(Check::Prometheus, look).await
}

async fn targets(address: &str) -> anyhow::Result<Vec<Target>> {
    let (status, body) = http::get(&format!("{address}/api/v1/targets?state=active"), PATIENCE).await?;
    anyhow::ensure!(status.is_success(), "/api/v1/targets answers {status}");
    let targets: Targets = serde_json::from_slice(&body).context("what listens there is no Prometheus")?;
    Ok(targets.data.active_targets)
}

/// Replicas are targets of one job; all of them have to be up.
fn scraped(targets: &[Target], service: &str) -> Result<(), Trouble> {
    let mut of_service =
        targets.iter().filter(|target| target.labels.get("job").is_some_and(|job| job == service)).peekable();
    if of_service.peek().is_none() {
        return Err(broken(
            format!("no target has job=\"{service}\""),
            "add one to scrape_configs, as in observability/prometheus/prometheus.yml",
        ));
    }
    match of_service.find(|target| target.health != "up") {
        None => Ok(()),
        Some(target) => Err(broken(
            format!("{} of {service} is {}: {}", target.scrape_url, target.health, target.last_error),
            format!("does that address reach the admin listener of {service} from where Prometheus is?"),
        )),
    }
}

/// Whether every query of every dashboard in a folder returns something.
pub(super) async fn dashboards(
    examination: &mut Examination,
    prometheus: Option<&String>,
    folder: &Path,
) -> anyhow::Result<()> {
    let look = async {
        let unreadable = |error: anyhow::Error| broken(format!("{error:#}"), "pass a folder of dashboards (JSON)");
        let queries = queries(folder).map_err(unreadable)?;
        if queries.is_empty() {
            return Err(broken(format!("{} has no dashboard with a query", folder.display()), "pass another folder"));
        }
        let prometheus = prometheus.ok_or(Trouble::FollowsFrom(Check::Prometheus))?;
        let mut bad = Vec::new();
        for query in &queries {
            match returned(prometheus, &query.expression).await {
                Ok(true) => {}
                Ok(false) if query.may_be_empty => {}
                Ok(false) => bad.push(format!("{} returns nothing", query.place)),
                Err(error) => bad.push(format!("{}: {error:#}", query.place)),
            }
        }
        match bad.as_slice() {
            [] => Ok((format!("{} queries, none of them empty", queries.len()), ())),
            [first, rest @ ..] => Err(broken(
                format!("{} of {} queries are empty or fail, the first: {first}", rest.len() + 1, queries.len()),
                "they need some minutes of load (`orderctl load`) and every rule file of observability/prometheus/rules",
            )),
        }
    };
    examination.check(Check::Dashboards, look).await?;
    Ok(())
}

struct Query {
    place: String,
    expression: String,
    may_be_empty: bool,
}

fn queries(folder: &Path) -> anyhow::Result<Vec<Query>> {
    let entries = fs::read_dir(folder).with_context(|| format!("{} can't be read", folder.display()))?;
    let mut files: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "json"));
    files.sort();
    let mut queries = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).with_context(|| format!("{} can't be read", file.display()))?;
        let board: Value = serde_json::from_str(&text).with_context(|| format!("{} is no JSON", file.display()))?;
        queries.extend(queries_of(&board));
    }
    Ok(queries)
}

fn queries_of(board: &Value) -> Vec<Query> {
    let variables: Vec<(&str, &str)> = list(&board["templating"], "list")
        .filter_map(|variable| {
            let value =
                variable["current"]["value"].as_str().filter(|value| !value.is_empty() && !value.starts_with('$'));
            Some((variable["name"].as_str()?, value.unwrap_or(".*")))
        })
        .collect();
    // A row that is folded keeps its panels inside.
    let panels = list(board, "panels").flat_map(|panel| std::iter::once(panel).chain(list(panel, "panels")));
    let title = |of: &Value| of["title"].as_str().unwrap_or_default().to_owned();
    panels
        .flat_map(|panel| list(panel, "targets").map(move |target| (panel, target)))
        .filter_map(|(panel, target)| {
            let expression = target["expr"].as_str().filter(|expression| !expression.is_empty())?;
            Some(Query {
                place: format!("{} / {}", title(board), title(panel)),
                expression: substituted(expression, &variables),
                may_be_empty: panel["description"].as_str().is_some_and(|text| text.contains(MAY_BE_EMPTY)),
            })
        })
        .collect()
}

fn list<'value>(of: &'value Value, key: &str) -> impl Iterator<Item = &'value Value> + use<'value> {
    of[key].as_array().into_iter().flatten()
}

/// `$name` and `${name}`; the longer name first where one begins like another.
fn substituted(expression: &str, variables: &[(&str, &str)]) -> String {
    let mut all: Vec<(&str, &str)> = BUILT_IN.iter().chain(variables).copied().collect();
    all.sort_by_key(|(name, _)| std::cmp::Reverse(name.len()));
    all.iter().fold(expression.to_owned(), |text, (name, value)| {
        text.replace(&format!("${{{name}}}"), value).replace(&format!("${name}"), value)
    })
}

/// Whether a query returns something that is a number.
async fn returned(prometheus: &str, expression: &str) -> anyhow::Result<bool> {
    let url = format!("{prometheus}/api/v1/query?query={}", http::percent_encoded(expression));
    let (status, body) = http::get(&url, PATIENCE).await?;
    let answer: Value = serde_json::from_slice(&body).context("no JSON")?;
    anyhow::ensure!(status.is_success(), "{}", answer["error"].as_str().unwrap_or("it fails"));
    let results = answer["data"]["result"].as_array().context("no result")?;
    Ok(results.iter().any(|result| result["value"][1].as_str() != Some("NaN")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_are_found_in_folded_rows_with_their_variables_filled_in() {
        let board = serde_json::json!({
            "title": "Board",
            "templating": { "list": [
                { "name": "service", "current": { "value": "order-svc" } },
                { "name": "all", "current": { "value": "$__all" } },
            ] },
            "panels": [
                { "title": "A", "targets": [{ "expr": "rate(x{job=~\"$service|${all}\"}[$__rate_interval])" }] },
                { "title": "Row", "panels": [
                    { "title": "B", "description": "Errors. [may be empty]", "targets": [{ "expr": "y" }, { "expr": "" }] },
                ] },
            ],
        });
        let found = queries_of(&board);
        let found: Vec<(&str, &str, bool)> =
            found.iter().map(|query| (&*query.place, &*query.expression, query.may_be_empty)).collect();
        let expected = [("Board / A", "rate(x{job=~\"order-svc|.*\"}[1m])", false), ("Board / B", "y", true)];
        assert_eq!(found, expected);
    }

    #[test]
    fn every_replica_has_to_be_up() {
        let target = |job: &str, health: &str| Target {
            labels: BTreeMap::from([("job".to_owned(), job.to_owned())]),
            scrape_url: "http://h:1/metrics".to_owned(),
            health: health.to_owned(),
            last_error: "refused".to_owned(),
        };
        let targets = [target("order-svc", "up"), target("order-svc", "down"), target("inventory-svc", "up")];
        assert!(scraped(&targets, "inventory-svc").is_ok());
        assert!(
            matches!(scraped(&targets, "order-svc"), Err(Trouble::Broken { what, .. }) if what.contains("down: refused"))
        );
        assert!(scraped(&targets, "other").is_err());
    }
}
