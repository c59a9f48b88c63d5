//! The JSON of Jaeger's query API, after the types in its `internal/uimodel`. Only what it always sends is here. See
//! <https://www.jaegertracing.io/docs/latest/architecture/apis/>.

use serde::Serialize;
use serde_json::Value;

/// What every answer is wrapped in.
#[derive(Debug, Serialize)]
pub(super) struct Answer<T> {
    pub(super) data: Option<T>,
    pub(super) total: usize,
    pub(super) limit: usize,
    pub(super) offset: usize,
    pub(super) errors: Option<Vec<AnswerError>>,
}

#[derive(Debug, Serialize)]
pub(super) struct AnswerError {
    pub(super) code: u16,
    pub(super) msg: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Trace {
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    pub(super) spans: Vec<Span>,
    /// `p1`, `p2`, … as the spans name them.
    pub(super) processes: serde_json::Map<String, Value>,
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Span {
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    #[serde(rename = "spanID")]
    pub(super) span_id: String,
    pub(super) operation_name: String,
    pub(super) references: Vec<Reference>,
    /// Microseconds since 1970.
    pub(super) start_time: u64,
    /// Microseconds.
    pub(super) duration: u64,
    pub(super) tags: Vec<Tag>,
    pub(super) logs: Vec<Log>,
    /// Filled in when a trace is put together.
    #[serde(rename = "processID")]
    pub(super) process_id: String,
    pub(super) warnings: Option<Vec<String>>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Process {
    pub(super) service_name: String,
    pub(super) tags: Vec<Tag>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Reference {
    pub(super) ref_type: ReferenceType,
    #[serde(rename = "traceID")]
    pub(super) trace_id: String,
    #[serde(rename = "spanID")]
    pub(super) span_id: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub(super) enum ReferenceType {
    ChildOf,
    FollowsFrom,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Tag {
    pub(super) key: String,
    /// `string`, `bool`, `int64`, `float64` or `binary`.
    #[serde(rename = "type")]
    pub(super) kind: &'static str,
    pub(super) value: Value,
}

impl Tag {
    pub(super) fn text(key: &str, value: impl Into<String>) -> Self {
        Self { key: key.to_owned(), kind: "string", value: Value::String(value.into()) }
    }

    /// Whether a search for `key=value` means this tag; searches know values as text only.
    pub(super) fn is(&self, key: &str, value: &str) -> bool {
        self.key == key
            && match &self.value {
                Value::String(text) => text == value,
                Value::Bool(truth) => truth.to_string() == value,
                Value::Number(number) => number.to_string() == value,
                // No tag is made with one of these.
                Value::Null | Value::Array(_) | Value::Object(_) => false,
            }
    }
}

#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Log {
    /// Microseconds since 1970.
    pub(super) timestamp: u64,
    pub(super) fields: Vec<Tag>,
}
