//! Jaeger's HTTP query API, as far as finding an order's traces needs it. devstack's substitute answers the same way.

use std::collections::HashMap;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, anyhow, bail};
use hyper::StatusCode;
use serde::Deserialize;
use serde_json::Value;
use uuid::Uuid;

use crate::http;
use crate::waterfall::{Kind, Span, Trace};

const TIMEOUT: Duration = Duration::from_secs(10);
/// Traces of one order: its placement, a few changes, and reads.
const LIMIT: usize = 200;
/// How far back an order is looked for whose id doesn't say when it was placed.
const LOOKBACK: Duration = Duration::from_secs(48 * 3600);
/// Clocks of two machines may differ by this much.
const CLOCK_SLACK: Duration = Duration::from_secs(60);

#[derive(Deserialize)]
struct Answer {
    #[serde(default)]
    data: Option<Vec<TraceJson>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TraceJson {
    #[serde(rename = "traceID")]
    trace_id: String,
    spans: Vec<SpanJson>,
    processes: HashMap<String, ProcessJson>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct SpanJson {
    #[serde(rename = "spanID")]
    span_id: String,
    operation_name: String,
    #[serde(default)]
    references: Vec<ReferenceJson>,
    /// Microseconds since 1970.
    start_time: u64,
    /// Microseconds.
    duration: u64,
    #[serde(default)]
    tags: Vec<TagJson>,
    #[serde(rename = "processID")]
    process_id: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ReferenceJson {
    ref_type: String,
    #[serde(rename = "traceID")]
    trace_id: String,
    #[serde(rename = "spanID")]
    span_id: String,
}

#[derive(Deserialize)]
struct TagJson {
    key: String,
    value: Value,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct ProcessJson {
    service_name: String,
}

/// The API's answer for an order, as it came.
///
/// # Errors
/// Nothing listens at `jaeger`, or what listens is no Jaeger.
pub(crate) async fn fetch(jaeger: &str, order_id: &str) -> anyhow::Result<Value> {
    let (status, body) = get(jaeger, &search_url(jaeger, order_id, SystemTime::now())).await?;
    if !status.is_success() {
        bail!("{jaeger} answered {status}: {}", String::from_utf8_lossy(&body).trim());
    }
    json(jaeger, &body)
}

/// A trace by its id; `None` when no span of it has arrived.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn fetch_trace(jaeger: &str, trace_id: &str) -> anyhow::Result<Option<Trace>> {
    let (status, body) = get(jaeger, &format!("{}/api/traces/{trace_id}", jaeger.trim_end_matches('/'))).await?;
    match status {
        StatusCode::NOT_FOUND => Ok(None),
        status if status.is_success() => Ok(traces(json(jaeger, &body)?)?.into_iter().next()),
        status => bail!("{jaeger} answered {status}: {}", String::from_utf8_lossy(&body).trim()),
    }
}

/// How many services it has spans of.
///
/// # Errors
/// As [`fetch`].
pub(crate) async fn count_services(jaeger: &str) -> anyhow::Result<usize> {
    let (status, body) = get(jaeger, &format!("{}/api/services", jaeger.trim_end_matches('/'))).await?;
    if !status.is_success() {
        bail!("{jaeger} answered {status}");
    }
    // A Jaeger without any says `null`.
    match json(jaeger, &body)?.get("data") {
        Some(Value::Array(services)) => Ok(services.len()),
        Some(Value::Null) => Ok(0),
        Some(_) | None => bail!("what listens on {jaeger} is no Jaeger query API"),
    }
}

async fn get(jaeger: &str, url: &str) -> anyhow::Result<(StatusCode, Vec<u8>)> {
    http::get(url, TIMEOUT).await.map_err(|error| {
        anyhow!("no answer from {jaeger}: {error:#}\n  next: is `orderctl up` or Jaeger running? Or pass --jaeger")
    })
}

fn json(jaeger: &str, body: &[u8]) -> anyhow::Result<Value> {
    serde_json::from_slice(body).with_context(|| format!("what listens on {jaeger} is no Jaeger query API"))
}

/// Reads the traces out of an answer, the oldest first.
///
/// # Errors
/// It has another form than Jaeger's.
pub(crate) fn traces(answer: Value) -> anyhow::Result<Vec<Trace>> {
    let answer: Answer = serde_json::from_value(answer).context("the answer is not what Jaeger's query API sends")?;
    let mut traces: Vec<Trace> = answer.data.unwrap_or_default().into_iter().map(trace).collect();
    traces.sort_by_key(|trace| trace.spans.iter().map(|span| span.start).min());
    Ok(traces)
}

/// Searches from the moment in the order's id, a UUIDv7, so that old orders are found as well.
fn search_url(jaeger: &str, order_id: &str, now: SystemTime) -> String {
    let placed = Uuid::parse_str(order_id).ok().and_then(|id| id.get_timestamp()).map(|timestamp| {
        let (seconds, nanos) = timestamp.to_unix();
        UNIX_EPOCH + Duration::new(seconds, nanos)
    });
    let start = placed.map_or(now - LOOKBACK, |placed| placed - CLOCK_SLACK);
    let micros = |time: SystemTime| time.duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    let tags = http::percent_encoded(&serde_json::json!({ "shop.order.id": order_id }).to_string());
    let (start, end) = (micros(start), micros(now + CLOCK_SLACK));
    let service = proto::topics::ORDER_SERVICE;
    let jaeger = jaeger.trim_end_matches('/');
    format!("{jaeger}/api/traces?service={service}&tags={tags}&start={start}&end={end}&limit={LIMIT}")
}

fn trace(json: TraceJson) -> Trace {
    let TraceJson { trace_id, spans, processes } = json;
    let service = |span: &SpanJson| processes.get(&span.process_id).map(|process| process.service_name.clone());
    let spans = spans
        .into_iter()
        .map(|span| {
            let tag = |key: &str| span.tags.iter().find(|tag| tag.key == key).map(|tag| &tag.value);
            let text = |key: &str| tag(key).and_then(Value::as_str).unwrap_or_default();
            // Jaeger writes a span that is both child of another and linked to it as one reference, FOLLOWS_FROM, and
            // nests by it, as we do.
            let here = |kind: &str| span.references.iter().find(|it| it.ref_type == kind && it.trace_id == trace_id);
            let parent = here("CHILD_OF").or_else(|| here("FOLLOWS_FROM"));
            let links = span.references.iter().filter(|it| it.trace_id != trace_id).map(|it| it.trace_id.clone());
            Span {
                service: service(&span).unwrap_or_else(|| "unknown".to_owned()),
                kind: kind(text("span.kind"), tag("db.system.name").is_some()),
                is_error: tag("error").is_some_and(|value| *value == Value::Bool(true) || value == "true")
                    || text("otel.status_code") == "ERROR",
                parent: parent.map(|parent| parent.span_id.clone()),
                links: links.collect(),
                start: span.start_time,
                duration: span.duration,
                id: span.span_id,
                name: span.operation_name,
            }
        })
        .collect();
    Trace { id: trace_id, spans }
}

fn kind(span_kind: &str, has_database: bool) -> Kind {
    match span_kind {
        _ if has_database => Kind::Database,
        "server" => Kind::Server,
        "client" => Kind::Client,
        "producer" => Kind::Producer,
        "consumer" => Kind::Consumer,
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn search_starts_at_the_moment_in_the_orders_id() {
        // 0x018bcfe56800 ms = 2023-11-14T22:13:20Z = 1,700,000,000 s.
        let url = search_url("http://j:1/", "018bcfe5-6800-7000-8000-000000000000", SystemTime::now());
        assert!(
            url.starts_with("http://j:1/api/traces?service=order-svc&tags=%7B%22shop.order.id%22%3A%22018b"),
            "{url}"
        );
        assert!(url.contains("&start=1699999940000000&"), "a minute before: {url}");
    }

    #[test]
    fn order_ids_of_any_other_form_are_looked_for_in_the_last_two_days() {
        let now = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let url = search_url("http://j:1", "a b&c", now);
        assert!(url.contains("a%20b%26c"), "{url}");
        assert!(url.contains("&start=1699827200000000&end=1700000060000000&"), "{url}");
    }

    #[test]
    fn parents_links_kinds_and_errors_are_read() {
        let answer: Value = serde_json::from_str(include_str!("../testdata/order.json")).expect("it is JSON");
        let traces = traces(answer).expect("it has Jaeger's form");
        assert_eq!(traces.len(), 3);
        let placement = &traces[0];
        let process = placement.spans.iter().find(|span| span.name == "process orders.v1").expect("a consumer");
        assert_eq!((process.kind, process.service.as_str()), (Kind::Consumer, "inventory-svc"));
        assert_eq!(process.parent.as_deref(), Some("00000000000000a6"), "the parent, not the link");
        assert!(process.links.is_empty(), "a link inside the trace is no further trace");
        assert!(placement.spans.iter().any(|span| span.kind == Kind::Database && span.is_error));
        assert_eq!(traces[1].spans[0].links, std::slice::from_ref(&placement.id));
    }

    #[test]
    fn no_traces_may_come_as_null() {
        assert!(traces(serde_json::json!({ "data": null })).expect("Jaeger sends this").is_empty());
        assert!(traces(serde_json::json!({ "data": "x" })).is_err());
    }
}
