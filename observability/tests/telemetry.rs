//! Spans, log lines and metrics as they leave the process.

#[cfg(test)]
mod support;

use std::time::{Duration, Instant, SystemTime};

use observability::propagation::TraceHeaders;
use observability::telemetry::{LogFormat, Sampler, Telemetry, TelemetrySettings};
use observability::{logging, names, spans};
use opentelemetry::Context;
use opentelemetry::trace::{SpanId, SpanKind, Status, TraceContextExt as _};
use opentelemetry_sdk::trace::SpanData;
use support::{Output, Recording, settings};

const SAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const UNSAMPLED: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00";
const METHOD: &str = "orders.v1.OrderService/PlaceOrder";

fn headers(traceparent: &str) -> TraceHeaders {
    TraceHeaders { traceparent: Some(traceparent.to_owned()), ..TraceHeaders::default() }
}

fn attribute(span: &SpanData, name: &str) -> String {
    let value = span.attributes.iter().find(|attribute| attribute.key.as_str() == name);
    value.map(|attribute| attribute.value.to_string()).unwrap_or_default()
}

#[test]
fn placing_an_order_is_one_trace_from_the_caller_to_the_consumer() {
    let recording = Recording::start(Sampler::default(), false);
    let server = spans::server(METHOD, &headers(SAMPLED).to_context());
    spans::set_order(&server, "order-1");
    let client = spans::client("inventory.v1.InventoryService/Reserve", "inventory:50052", &server);
    spans::end_rpc(&client, "UNAVAILABLE", true);
    let send = spans::send("orders.v1", "event-1", "order-1", &server);
    let carried = TraceHeaders::of(&send);
    spans::end(&send);
    spans::end(&spans::process("orders.v1", 3, 42, "event-1", "inventory-svc", &carried.to_context()));
    spans::end_rpc(&server, "OK", false);

    let server = recording.span(METHOD);
    assert_eq!(server.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(server.parent_span_id.to_string(), "b7ad6b7169203331");
    assert_eq!((server.span_kind.clone(), server.status.clone()), (SpanKind::Server, Status::Unset));
    assert_eq!(attribute(&server, "rpc.system.name"), "grpc");
    assert_eq!(attribute(&server, "rpc.method"), METHOD);
    assert_eq!(attribute(&server, "rpc.response.status_code"), "OK");
    assert_eq!(attribute(&server, "shop.order.id"), "order-1");

    let client = recording.span("inventory.v1.InventoryService/Reserve");
    assert_eq!(client.parent_span_id, server.span_context.span_id());
    assert_eq!((client.span_kind.clone(), client.status.clone()), (SpanKind::Client, Status::error("UNAVAILABLE")));
    assert_eq!(attribute(&client, "server.address"), "inventory:50052");

    let send = recording.span("send orders.v1");
    assert_eq!(send.parent_span_id, server.span_context.span_id());
    assert_eq!(send.span_kind, SpanKind::Producer);
    assert_eq!(carried.to_context().span().span_context().span_id(), send.span_context.span_id());
    assert_eq!(attribute(&send, "messaging.operation.type"), "send");

    let process = recording.span("process orders.v1");
    assert_eq!(process.parent_span_id, send.span_context.span_id());
    assert_eq!(process.links.len(), 1);
    assert_eq!(process.links[0].span_context.span_id(), send.span_context.span_id());
    assert_eq!(attribute(&process, "messaging.destination.partition.id"), "3");
    assert_eq!(attribute(&process, "messaging.kafka.offset"), "42");
    assert_eq!(attribute(&process, "messaging.consumer.group.name"), "inventory-svc");
}

#[test]
fn database_spans_keep_the_transaction_s_times_and_exist_below_a_request_only() {
    let recording = Recording::start(Sampler::default(), false);
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000);
    let end = start + Duration::from_millis(7);
    let parent = headers(SAMPLED).to_context();
    spans::database("place_order", &parent, start, end, 12, Some("serialization failure"));
    spans::database("poll_outbox", &Context::new(), start, end, 1, None);
    spans::DatabaseSpan::start("get_order", "SELECT orders", &parent).end(None);

    assert_eq!(recording.spans().len(), 2);
    let transaction = recording.span("place_order");
    assert_eq!((transaction.start_time, transaction.end_time), (start, end));
    assert_eq!(transaction.status, Status::error("serialization failure"));
    assert_eq!(attribute(&transaction, "db.system.name"), "postgresql");
    assert_eq!(attribute(&transaction, "db.operation.name"), "place_order");
    assert_eq!(attribute(&transaction, "db.operation.batch.size"), "12");
    assert_eq!(attribute(&recording.span("SELECT orders"), "db.query.summary"), "SELECT orders");
}

#[test]
fn sweep_is_a_trace_of_its_own_that_links_to_the_placements() {
    let recording = Recording::start(Sampler::default(), false);
    let sweep = spans::internal("sweep", &[headers(SAMPLED), headers("garbage")]);
    spans::link(&sweep, &headers(UNSAMPLED));
    spans::fail(&sweep, "inventory is away");
    spans::end(&sweep);

    let sweep = recording.span("sweep");
    assert_eq!(sweep.parent_span_id, SpanId::INVALID);
    assert_ne!(sweep.span_context.trace_id().to_string(), "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(sweep.links.len(), 2);
    assert_eq!(sweep.status, Status::error("inventory is away"));
}

#[test]
fn stream_of_many_orders_keeps_its_own_attributes() {
    let recording = Recording::start(Sampler::default(), false);
    let server = spans::server(METHOD, &headers(SAMPLED).to_context());
    let orders = spans::of_many(&server);
    for number in 0..500 {
        spans::set_order(&orders, &format!("order-{number}"));
        spans::set_status(&orders, "confirmed");
    }
    spans::end_rpc(&server, "OK", false);

    let server = recording.span(METHOD);
    assert_eq!(attribute(&server, "rpc.response.status_code"), "OK");
    assert_eq!(attribute(&server, "shop.order.id"), "", "it would be that of one of them");
    assert_eq!(server.events.len(), 128, "the first ones, and no more");
    assert_eq!(server.events[0].attributes[0].value.to_string(), "order-0");
}

#[test]
fn caller_that_does_not_record_is_followed_and_its_ids_pass_on() {
    let recording = Recording::start(Sampler::default(), false);
    let server = spans::server(METHOD, &headers(UNSAMPLED).to_context());
    spans::set_order(&server, "order-1");
    let send = spans::send("orders.v1", "event-1", "order-1", &server);
    assert_eq!(TraceHeaders::of(&send), headers(UNSAMPLED));
    spans::end(&send);
    spans::end_rpc(&server, "OK", false);
    assert!(recording.spans().is_empty());
}

#[test]
fn trace_that_begins_here_unrecorded_still_has_ids_to_pass_on() {
    let recording = Recording::start(Sampler::ParentBasedAlwaysOff, false);
    let server = spans::server(METHOD, &Context::new());
    let passed_on = TraceHeaders::of(&spans::client(METHOD, "inventory:50052", &server));
    let traceparent = passed_on.traceparent.clone().unwrap();
    assert!(traceparent.ends_with("-00"), "{traceparent}");
    assert_eq!(TraceHeaders::of(&server), passed_on);
    spans::end_rpc(&server, "OK", false);
    assert!(recording.spans().is_empty());
}

#[test]
fn sampler_that_ignores_the_caller_records_what_the_caller_does_not() {
    let recording = Recording::start(Sampler::AlwaysOn, false);
    spans::end(&spans::server(METHOD, &headers(UNSAMPLED).to_context()));
    assert_eq!(recording.span(METHOD).parent_span_id.to_string(), "b7ad6b7169203331");
}

#[test]
fn malformed_traceparent_begins_a_new_trace() {
    let recording = Recording::start(Sampler::default(), false);
    spans::end(&spans::server(METHOD, &headers("00-zz-zz-01").to_context()));
    assert_eq!(recording.span(METHOD).parent_span_id, SpanId::INVALID);
}

#[test]
fn disabled_records_nothing_and_passes_ids_on() {
    let recording = Recording::start(Sampler::default(), true);
    let server = spans::server(METHOD, &headers(SAMPLED).to_context());
    let send = spans::send("orders.v1", "event-1", "order-1", &server);
    assert_eq!(TraceHeaders::of(&send), headers(SAMPLED));
    assert!(recording.spans().is_empty());
}

#[test]
fn child_of_a_span_from_before_shutdown_can_not_end_it() {
    let mut recording = Recording::start(Sampler::default(), false);
    let server = spans::server(METHOD, &Context::new());
    let ids = TraceHeaders::of(&server);
    recording.stop();
    let client = spans::client(METHOD, "inventory:50052", &server);
    assert_eq!(TraceHeaders::of(&client), ids);
    spans::end(&client);
    assert!(server.span().is_recording());
}

#[test]
fn json_line_has_the_event_and_its_trace() {
    let _recording = Recording::start(Sampler::default(), false);
    let output = Output::default();
    let server = spans::server(METHOD, &headers(SAMPLED).to_context());
    tracing::subscriber::with_default(logging::subscriber(&settings(), output.clone()).unwrap().0, || {
        let _attached = server.clone().attach();
        let long = "x".repeat(10_000);
        tracing::warn!(order.id = "order-1", duration_ms = 1.5, long, level = "forged", "order \"refused\"\n{}", 1);
        tracing::error!(target: "opentelemetry_sdk", "internal");
    });
    let text = output.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    let line: serde_json::Value = serde_json::from_str(&text).unwrap();
    let span_context = server.span().span_context().clone();
    assert_eq!(line["message"], "order \"refused\"\n1");
    assert_eq!((&line["level"], &line["field.level"]), (&"WARN".into(), &"forged".into()));
    assert_eq!(line["service"], "test-svc");
    assert_eq!(line["version"], "1.2.3");
    assert_eq!(line["order.id"], "order-1");
    assert_eq!(line["duration_ms"], 1.5);
    assert_eq!(line["trace_id"], "0af7651916cd43dd8448eb211c80319c");
    assert_eq!(line["span_id"], span_context.span_id().to_string());
    assert!(line["long"].as_str().unwrap().len() < 2_100);
    let timestamp = line["timestamp"].as_str().unwrap();
    let format = &time::format_description::well_known::Rfc3339;
    assert!(time::OffsetDateTime::parse(timestamp, format).is_ok() && timestamp.len() == 27, "{timestamp}");
}

#[test]
fn text_line_can_not_be_forged() {
    let output = Output::default();
    let settings = TelemetrySettings { log_format: LogFormat::Text, ..settings() };
    tracing::subscriber::with_default(logging::subscriber(&settings, output.clone()).unwrap().0, || {
        tracing::info!(reason = "two words", sku = "A-1", "first\nsecond \u{1b}[31m");
    });
    let text = output.text();
    assert!(text.contains(r#"first\nsecond \u{1b}[31m reason="two words" sku=A-1"#), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn filter_changes_between_two_lines() {
    let output = Output::default();
    let (subscriber, levels) = logging::subscriber(&settings(), output.clone()).unwrap();
    tracing::subscriber::with_default(subscriber, || {
        let say = |what: &str| tracing::debug!(target: "order_svc::store", what, "said");
        say("too early");
        levels.change(&"info,order_svc=debug".parse().unwrap()).unwrap();
        say("heard");
        tracing::debug!(target: "inventory_svc", "of another target");
        levels.change(&"info".parse().unwrap()).unwrap();
        say("too late");
    });
    let text = output.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    assert!(text.contains(r#""what":"heard""#), "{text}");
}

#[test]
fn repeats_are_left_out_and_counted_but_never_below_info() {
    let recording = Recording::start(Sampler::default(), true);
    let output = Output::default();
    let settings = TelemetrySettings { log_filter: "debug".parse().unwrap(), ..settings() };
    tracing::subscriber::with_default(logging::subscriber(&settings, output.clone()).unwrap().0, || {
        for number in 0..500 {
            tracing::warn!(number, "again");
            tracing::debug!(number, "asked for");
        }
        tracing::warn!("another place");
    });
    let text = output.text();
    let count = |what: &str| text.lines().filter(|line| line.contains(what)).count();
    let counts = [r#""message":"again""#, r#""message":"asked for""#, "another place"].map(count);
    assert_eq!(counts, [50, 500, 1], "{text}");
    let page = recording.telemetry().metrics().render();
    assert!(page.contains("log_lines_left_out_total 450"), "{page}");
}

#[test]
fn page_has_the_contract_s_buckets_and_this_process() {
    let recording = Recording::start(Sampler::default(), false);
    metrics::histogram!(names::RPC_SERVER_CALL_DURATION, "rpc_method" => METHOD).record(0.02);
    metrics::histogram!(names::ORDER_COMPLETION, "outcome" => "confirmed").record(45.0);
    let page = recording.telemetry().metrics().render();
    let call = format!(r#"rpc_server_call_duration_seconds_bucket{{rpc_method="{METHOD}",le="#);
    assert!(page.contains(&format!(r#"{call}"0.01"}} 0"#)), "{page}");
    assert!(page.contains(&format!(r#"{call}"0.025"}} 1"#)), "{page}");
    assert!(!page.contains(&format!(r#"{call}"30"}}"#)), "{page}");
    assert!(page.contains(r#"order_completion_seconds_bucket{outcome="confirmed",le="60"} 1"#), "{page}");
    assert!(page.contains("# HELP order_completion_seconds Time from placement"), "{page}");
    assert!(page.contains(r#"build_info{service="test-program",version="1.2.3"} 1"#), "{page}");
    #[cfg(target_os = "linux")]
    assert!(page.contains("process_resident_memory_bytes "), "{page}");
}

#[test]
fn collector_that_is_away_costs_dropped_spans_and_no_hanging() {
    let recording = Recording::start(Sampler::default(), true);
    let telemetry = Telemetry::start(settings()).unwrap();
    spans::end(&spans::server(METHOD, &Context::new()));
    let begin = Instant::now();
    telemetry.shutdown(Duration::from_secs(5));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    let page = recording.telemetry().metrics().render();
    assert!(page.contains(r#"telemetry_dropped_spans_total{reason="export_failed"} 1"#), "{page}");
}
