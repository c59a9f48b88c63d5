//! The part of Jaeger's query API that we use, over the store.

use std::collections::BTreeMap;
use std::time::{SystemTime, UNIX_EPOCH};

use axum::Json;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use axum::routing::get;
use serde::Deserialize;

use super::shapes::{Answer, AnswerError, Trace};
use super::store::{Search, Store};

/// How many traces are answered when nobody says, as Jaeger does it.
const DEFAULT_LIMIT: usize = 100;

type Answered<T> = (StatusCode, Json<Answer<T>>);

/// `/api/services`, `/api/traces` and `/api/traces/{id}`.
pub(super) fn routes(store: Store) -> Router {
    Router::new()
        .route("/api/services", get(services))
        .route("/api/traces", get(search))
        .route("/api/traces/{trace_id}", get(trace))
        .with_state(store)
}

async fn services(State(store): State<Store>) -> Answered<Vec<String>> {
    let names = store.services();
    let total = names.len();
    // Jaeger has null for an empty list.
    let data = (total > 0).then_some(names);
    (StatusCode::OK, Json(Answer { data, total, limit: 0, offset: 0, errors: None }))
}

async fn trace(State(store): State<Store>, Path(trace_id): Path<String>) -> Answered<Vec<Trace>> {
    // The store has ids as Jaeger writes them: those of 64 bits in 16 digits.
    let id = trace_id.to_ascii_lowercase();
    match store.trace(id.strip_prefix(&"0".repeat(16)).unwrap_or(&id)) {
        Some(trace) => found(vec![trace]),
        None => refused(StatusCode::NOT_FOUND, "trace not found"),
    }
}

/// The parameters of a search. Times are microseconds since 1970; `tags` is a JSON object of texts.
#[derive(Debug, Deserialize)]
struct Parameters {
    service: Option<String>,
    operation: Option<String>,
    tags: Option<String>,
    start: Option<u64>,
    end: Option<u64>,
    lookback: Option<String>,
    limit: Option<usize>,
}

async fn search(State(store): State<Store>, Query(parameters): Query<Parameters>) -> Answered<Vec<Trace>> {
    match parameters.into_search() {
        Ok(search) => found(store.search(&search)),
        Err(problem) => refused(StatusCode::BAD_REQUEST, &problem),
    }
}

impl Parameters {
    fn into_search(self) -> Result<Search, String> {
        let service = self.service.filter(|name| !name.is_empty()).ok_or("parameter 'service' is required")?;
        let tags: BTreeMap<String, String> = match &self.tags {
            Some(tags) => serde_json::from_str(tags).map_err(|error| format!("malformed 'tags' parameter: {error}"))?,
            None => BTreeMap::new(),
        };
        let earliest = match &self.lookback {
            Some(lookback) => Some(now_micros().saturating_sub(parse_lookback(lookback)?)),
            None => None,
        };
        Ok(Search {
            service,
            operation: self.operation.filter(|name| !name.is_empty()),
            tags: tags.into_iter().collect(),
            start: self.start.or(earliest),
            end: self.end,
            limit: self.limit.unwrap_or(DEFAULT_LIMIT),
        })
    }
}

/// `30s`, `5m`, `2h`, `1d` in microseconds; `custom` (the page's word for start and end) means no limit.
fn parse_lookback(text: &str) -> Result<u64, String> {
    if text == "custom" {
        return Ok(u64::MAX);
    }
    let seconds = [('s', 1), ('m', 60), ('h', 3600), ('d', 86_400)]
        .into_iter()
        .find_map(|(unit, seconds)| text.strip_suffix(unit)?.parse::<u64>().ok()?.checked_mul(seconds));
    seconds.and_then(|seconds| seconds.checked_mul(1_000_000)).ok_or_else(|| format!("malformed 'lookback': {text}"))
}

fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

fn found(traces: Vec<Trace>) -> Answered<Vec<Trace>> {
    (StatusCode::OK, Json(Answer { data: Some(traces), total: 0, limit: 0, offset: 0, errors: None }))
}

fn refused(status: StatusCode, problem: &str) -> Answered<Vec<Trace>> {
    let errors = Some(vec![AnswerError { code: status.as_u16(), msg: problem.to_owned() }]);
    (status, Json(Answer { data: None, total: 0, limit: 0, offset: 0, errors }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lookback_is_read_in_every_unit() {
        assert_eq!(parse_lookback("30s"), Ok(30_000_000));
        assert_eq!(parse_lookback("2h"), Ok(7_200_000_000));
        assert_eq!(parse_lookback("custom"), Ok(u64::MAX));
        assert!(parse_lookback("soon").is_err());
        assert!(parse_lookback("99999999999999999d").is_err());
    }
}
