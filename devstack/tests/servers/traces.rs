use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::Body;
use devstack::{Embedded, Traces};
use http_body_util::BodyExt;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::{Event, Link, SpanKind};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use serde_json::{Value, json};

use crate::support::{eventually, options};

const TRACE: &str = "0af7651916cd43dd8448eb211c80319c";
const TRACE_ID: u128 = 0x0af7651916cd43dd8448eb211c80319c;

fn attribute(key: &str, value: Any) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, Any::StringValue(value.to_owned()))
}

fn resource_spans(service: &str, spans: Vec<Span>) -> ResourceSpans {
    let attributes = vec![text("service.name", service), text("service.version", "1.2.3")];
    let scope = InstrumentationScope { name: "observability".to_owned(), ..InstrumentationScope::default() };
    ResourceSpans {
        resource: Some(Resource { attributes, ..Resource::default() }),
        scope_spans: vec![ScopeSpans { scope: Some(scope), spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

/// One trace over two services, with everything that our own spans have.
fn one_trace() -> ExportTraceServiceRequest {
    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let trace_id = TRACE_ID.to_be_bytes().to_vec();
    let list = ArrayValue {
        values: vec![
            AnyValue { value: Some(Any::IntValue(1)) },
            AnyValue { value: Some(Any::StringValue("two".to_owned())) },
        ],
    };
    let server = Span {
        trace_id: trace_id.clone(),
        span_id: 1u64.to_be_bytes().to_vec(),
        name: "orders.v1.OrderService/PlaceOrder".to_owned(),
        kind: SpanKind::Server.into(),
        start_time_unix_nano: now,
        end_time_unix_nano: now + 5_000_000,
        trace_state: "vendor=1".to_owned(),
        attributes: vec![
            text("shop.order.id", "order-1"),
            attribute("lines", Any::IntValue(3)),
            attribute("replay", Any::BoolValue(false)),
            attribute("share", Any::DoubleValue(0.5)),
            attribute("list", Any::ArrayValue(list)),
        ],
        events: vec![Event {
            time_unix_nano: now + 1_000_000,
            name: "reserved".to_owned(),
            attributes: vec![text("sku", "A-1")],
            ..Event::default()
        }],
        status: Some(Status { code: StatusCode::Error.into(), message: "it broke".to_owned() }),
        ..Span::default()
    };
    let consumer = Span {
        trace_id,
        span_id: 2u64.to_be_bytes().to_vec(),
        parent_span_id: 1u64.to_be_bytes().to_vec(),
        name: "process orders.v1".to_owned(),
        kind: SpanKind::Consumer.into(),
        start_time_unix_nano: now + 2_000_000,
        end_time_unix_nano: now + 3_000_000,
        links: vec![Link {
            trace_id: 7u128.to_be_bytes().to_vec(),
            span_id: 9u64.to_be_bytes().to_vec(),
            ..Link::default()
        }],
        status: Some(Status { code: StatusCode::Ok.into(), message: String::new() }),
        ..Span::default()
    };
    ExportTraceServiceRequest {
        resource_spans: vec![
            resource_spans("order-svc", vec![server]),
            resource_spans("inventory-svc", vec![consumer]),
        ],
    }
}

async fn export(traces: &Traces, request: ExportTraceServiceRequest) {
    let mut client = TraceServiceClient::connect(traces.otlp_endpoint().to_owned()).await.unwrap();
    client.export(request).await.unwrap();
}

async fn ask(traces: &Traces, path: &str) -> (u16, Value) {
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let response = client.get(format!("{}{path}", traces.query_url()).parse().unwrap()).await.unwrap();
    let status = response.status().as_u16();
    (status, serde_json::from_slice(&response.into_body().collect().await.unwrap().to_bytes()).unwrap())
}

/// Sorts what Jaeger gives no order to, and names each span's process by its service.
fn comparable(answer: &Value) -> Value {
    let trace = &answer["data"][0];
    let by_key = |list: &Value| {
        let mut list = list.as_array().cloned().unwrap_or_default();
        list.sort_by_key(|tag| tag["key"].to_string());
        Value::Array(list)
    };
    let mut spans: Vec<Value> = trace["spans"].as_array().unwrap().clone();
    spans.sort_by_key(|span| span["spanID"].to_string());
    for span in &mut spans {
        span["tags"] = by_key(&span["tags"]);
        let process = &trace["processes"][span["processID"].as_str().unwrap()];
        let process = json!({"serviceName": process["serviceName"], "tags": by_key(&process["tags"])});
        span["processID"] = process;
    }
    json!({"traceID": trace["traceID"], "spans": spans})
}

/// Everything that `orderctl trace` asks for, in one value.
async fn take_and_give_back(traces: &Traces, request: &ExportTraceServiceRequest) -> Value {
    export(traces, request.clone()).await;
    let by_id = eventually("the trace can be asked for", async || {
        let (status, answer) = ask(traces, &format!("/api/traces/{TRACE}")).await;
        (status == 200 && answer["data"][0]["spans"].as_array()?.len() == 2).then_some(answer)
    })
    .await;
    let found = "/api/traces?service=order-svc&limit=5&lookback=1h&tags=%7B%22shop.order.id%22%3A%22order-1%22%7D";
    let missed = "/api/traces?service=order-svc&limit=5&lookback=1h&tags=%7B%22shop.order.id%22%3A%22order-2%22%7D";
    let (_, services) = ask(traces, "/api/services").await;
    let mut services = services["data"].as_array().unwrap().clone();
    services.sort_by_key(Value::to_string);
    assert_eq!(services, ["inventory-svc", "order-svc"]);
    let (_, by_tag) = ask(traces, found).await;
    assert_eq!(comparable(&by_tag), comparable(&by_id));
    let (status, nothing) = ask(traces, missed).await;
    assert_eq!((status, &nothing["data"]), (200, &json!([])));
    assert_eq!(ask(traces, &format!("/api/traces/{:032x}", 5)).await.0, 404);
    assert_eq!(ask(traces, "/api/traces").await.0, 400);
    comparable(&by_id)
}

#[tokio::test]
async fn span_that_is_exported_can_be_asked_for_from_the_store_of_this_machine() {
    let (options, _folder) = options();
    let mut traces = Traces::start(&options).await.unwrap();
    let given = take_and_give_back(&traces, &one_trace()).await;
    assert_eq!(given["traceID"], TRACE);

    if traces.pid().is_some() {
        traces.kill().await.unwrap();
        traces.restart().await.unwrap();
        assert_eq!(ask(&traces, &format!("/api/traces/{TRACE}")).await.0, 404, "the store is empty after a crash");
    }
    traces.stop().await.unwrap();
}

#[tokio::test]
async fn substitute_gives_back_the_same_trace_as_jaeger() {
    let request = one_trace();
    let (mut options, _folder) = options();
    options.sources.otlp_endpoint = None;
    options.sources.jaeger_url = None;
    options.sources.embedded = Embedded { traces: true, ..Embedded::default() };
    let mut substitute = Traces::start(&options).await.unwrap();
    assert!(substitute.is_substitute() && substitute.description().contains("SUBSTITUTE"));
    let ours = take_and_give_back(&substitute, &request).await;
    substitute.restart().await.unwrap();
    assert_eq!(ask(&substitute, &format!("/api/traces/{TRACE}")).await.0, 404, "a new substitute is empty");
    substitute.stop().await.unwrap();

    let (options, _folder) = crate::support::options();
    let jaeger = Traces::start(&options).await.unwrap();
    if jaeger.is_substitute() {
        eprintln!("NOT COMPARED, no Jaeger here");
    } else {
        let theirs = take_and_give_back(&jaeger, &request).await;
        assert_eq!(ours, theirs, "\nours   {ours:#}\ntheirs {theirs:#}");
    }
    jaeger.stop().await.unwrap();
}

#[tokio::test]
async fn half_an_address_from_the_environment_is_refused() {
    let (mut options, _folder) = options();
    options.sources.otlp_endpoint = Some("http://127.0.0.1:4317".to_owned());
    options.sources.jaeger_url = None;
    let error = Traces::start(&options).await.unwrap_err().to_string();
    assert!(error.contains("DEVSTACK_JAEGER_URL"), "{error}");
}
