//! Transactions and queries. They are recorded below a request or a record only, never as traces of their own.

use std::time::SystemTime;

use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    DB_OPERATION_BATCH_SIZE, DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_SYSTEM_NAME,
};

use super::open::{Opening, open_child};

/// One operation on the database, from [`DatabaseSpan::start`] to [`DatabaseSpan::end`].
///
/// Dropping it ends the span as it is: a cancelled read still shows how long it took.
#[derive(Debug)]
pub struct DatabaseSpan(Context);

impl DatabaseSpan {
    /// `operation` is one of a closed list (`get_order`), `summary` what it does in few words (`SELECT orders`).
    pub fn start(operation: &'static str, summary: &'static str, parent: &Context) -> Self {
        Self(open_child(parent, || {
            let mut attributes = database_attributes(operation);
            attributes.push(KeyValue::new(DB_QUERY_SUMMARY, summary));
            Opening::new(SpanKind::Client, summary, attributes)
        }))
    }

    /// Ends the span; `error` is for people and names no values.
    pub fn end(self, error: Option<&str>) {
        if let Some(text) = error {
            self.0.span().set_status(Status::error(text.to_owned()));
        }
    }
}

impl Drop for DatabaseSpan {
    fn drop(&mut self) {
        self.0.span().end();
    }
}

/// Records an operation that is over. A group commit's transaction serves many requests: each of them gets a span of
/// its own with the transaction's times, `batch_size` saying how many commands shared it.
pub fn database(
    operation: &'static str,
    parent: &Context,
    start: SystemTime,
    end: SystemTime,
    batch_size: usize,
    error: Option<&str>,
) {
    let context = open_child(parent, || {
        let mut attributes = database_attributes(operation);
        attributes.push(KeyValue::new(DB_QUERY_SUMMARY, operation));
        // The conventions give no batch size to a batch of one.
        if batch_size > 1 {
            attributes.push(KeyValue::new(DB_OPERATION_BATCH_SIZE, i64::try_from(batch_size).unwrap_or(i64::MAX)));
        }
        Opening::new(SpanKind::Client, operation, attributes).started_at(start)
    });
    let span = context.span();
    if let Some(text) = error {
        span.set_status(Status::error(text.to_owned()));
    }
    span.end_with_timestamp(end);
}

fn database_attributes(operation: &'static str) -> Vec<KeyValue> {
    vec![KeyValue::new(DB_SYSTEM_NAME, "postgresql"), KeyValue::new(DB_OPERATION_NAME, operation)]
}
