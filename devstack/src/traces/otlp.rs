//! From OTLP's spans to Jaeger's, as Jaeger itself translates them.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{Span as OtlpSpan, Status};
use serde_json::{Value, json};

use super::shapes::{Log, Process, Reference, ReferenceType, Span, Tag};

const SERVICE_NAME: &str = "service.name";

/// What Jaeger calls a service that gave no name.
const NO_SERVICE_NAME: &str = "OTLPResourceNoServiceName";

/// Who made the spans.
pub(super) fn process(resource: Option<&Resource>) -> Process {
    let attributes = resource.map_or(&[][..], |resource| &resource.attributes);
    let name =
        attributes.iter().find(|attribute| attribute.key == SERVICE_NAME).map(|attribute| text(&attribute.value));
    Process {
        service_name: name.unwrap_or_else(|| NO_SERVICE_NAME.to_owned()),
        tags: attributes.iter().filter(|attribute| attribute.key != SERVICE_NAME).map(tag).collect(),
    }
}

/// One span; None if it has no usable ids.
pub(super) fn span(span: &OtlpSpan, scope: Option<&InstrumentationScope>) -> Option<Span> {
    if span.trace_id.len() != 16 || span.span_id.len() != 8 {
        return None;
    }
    let id = trace_id(&span.trace_id);
    let parent = (span.parent_span_id.len() == 8).then(|| Reference {
        ref_type: ReferenceType::ChildOf,
        trace_id: id.clone(),
        span_id: hex(&span.parent_span_id),
    });
    let links = span.links.iter().map(|link| Reference {
        ref_type: ReferenceType::FollowsFrom,
        trace_id: trace_id(&link.trace_id),
        span_id: hex(&link.span_id),
    });
    Some(Span {
        span_id: hex(&span.span_id),
        operation_name: span.name.clone(),
        references: parent.into_iter().chain(links).collect(),
        start_time: span.start_time_unix_nano / 1000,
        duration: span.end_time_unix_nano.saturating_sub(span.start_time_unix_nano) / 1000,
        tags: tags(span, scope),
        logs: logs(span),
        process_id: String::new(),
        warnings: None,
        trace_id: id,
    })
}

fn tags(span: &OtlpSpan, scope: Option<&InstrumentationScope>) -> Vec<Tag> {
    let mut tags: Vec<Tag> = span.attributes.iter().map(tag).collect();
    if let Some(scope) = scope {
        if !scope.name.is_empty() {
            tags.push(Tag::text("otel.scope.name", &scope.name));
        }
        if !scope.version.is_empty() {
            tags.push(Tag::text("otel.scope.version", &scope.version));
        }
    }
    let kind = match SpanKind::try_from(span.kind).unwrap_or(SpanKind::Unspecified) {
        SpanKind::Unspecified => None,
        SpanKind::Internal => Some("internal"),
        SpanKind::Server => Some("server"),
        SpanKind::Client => Some("client"),
        SpanKind::Producer => Some("producer"),
        SpanKind::Consumer => Some("consumer"),
    };
    tags.extend(kind.map(|kind| Tag::text("span.kind", kind)));
    tags.extend(span.status.iter().flat_map(status_tags));
    if !span.trace_state.is_empty() {
        tags.push(Tag::text("w3c.tracestate", &span.trace_state));
    }
    tags
}

fn status_tags(status: &Status) -> Vec<Tag> {
    let mut tags = match status.code() {
        StatusCode::Unset => Vec::new(),
        StatusCode::Ok => vec![Tag::text("otel.status_code", "OK")],
        StatusCode::Error => vec![
            Tag { key: "error".to_owned(), kind: "bool", value: Value::Bool(true) },
            Tag::text("otel.status_code", "ERROR"),
        ],
    };
    if !status.message.is_empty() {
        tags.push(Tag::text("otel.status_description", &status.message));
    }
    tags
}

fn logs(span: &OtlpSpan) -> Vec<Log> {
    span.events
        .iter()
        .map(|event| {
            let name = (!event.name.is_empty()).then(|| Tag::text("event", &event.name));
            let fields = name.into_iter().chain(event.attributes.iter().map(tag)).collect();
            Log { timestamp: event.time_unix_nano / 1000, fields }
        })
        .collect()
}

fn tag(attribute: &KeyValue) -> Tag {
    let (kind, value) = match attribute.value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::BoolValue(value)) => ("bool", json!(value)),
        Some(Any::IntValue(value)) => ("int64", json!(value)),
        Some(Any::DoubleValue(value)) => ("float64", json!(value)),
        Some(
            Any::StringValue(_)
            | Any::ArrayValue(_)
            | Any::KvlistValue(_)
            | Any::BytesValue(_)
            | Any::StringValueStrindex(_),
        )
        | None => ("string", Value::String(text(&attribute.value))),
    };
    Tag { key: attribute.key.clone(), kind, value }
}

/// A value as text: lists and maps as JSON.
fn text(value: &Option<AnyValue>) -> String {
    match plain(value.as_ref()) {
        Value::String(text) => text,
        Value::Null => String::new(),
        other @ (Value::Bool(_) | Value::Number(_) | Value::Array(_) | Value::Object(_)) => other.to_string(),
    }
}

fn plain(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(value)) => json!(value),
        Some(Any::BoolValue(value)) => json!(value),
        Some(Any::IntValue(value)) => json!(value),
        Some(Any::DoubleValue(value)) => json!(value),
        Some(Any::ArrayValue(list)) => list.values.iter().map(|value| plain(Some(value))).collect(),
        Some(Any::KvlistValue(map)) => {
            map.values.iter().map(|entry| (entry.key.clone(), plain(entry.value.as_ref()))).collect()
        }
        Some(Any::BytesValue(bytes)) => Value::String(hex(bytes)),
        // An index into a dictionary that only profiles have.
        Some(Any::StringValueStrindex(_)) | None => Value::Null,
    }
}

/// Jaeger writes an id whose first half is zero as one of 64 bits.
fn trace_id(bytes: &[u8]) -> String {
    match bytes.strip_prefix(&[0; 8]) {
        Some(rest) => hex(rest),
        None => hex(bytes),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
