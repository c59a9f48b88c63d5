//! Duration of what is asked of the database, by operation, and the spans of reads.

use std::time::SystemTime;

use observability::{names, spans};
use opentelemetry::Context;

use crate::contained;

/// Counts an operation that took from `started` to `ended`. `operation` comes from a closed list: it is a label.
pub fn operation(operation: &'static str, started: SystemTime, ended: SystemTime, succeeded: bool) {
    let outcome = if succeeded { "ok" } else { "error" };
    let seconds = ended.duration_since(started).unwrap_or_default().as_secs_f64();
    metrics::histogram!(
        names::DB_OPERATION_DURATION,
        "db_operation_name" => operation,
        "outcome" => outcome,
    )
    .record(seconds);
}

/// Runs a read with its metric, and with its span in the current trace; [`contained`].
///
/// # Errors
/// Those of `read`, and an I/O error when the database says nothing.
pub async fn observed<T>(
    operation: &'static str,
    read: impl Future<Output = Result<T, sqlx::Error>>,
) -> Result<T, sqlx::Error> {
    let started = SystemTime::now();
    let result = contained(read).await;
    let ended = SystemTime::now();
    let error = result.as_ref().err().map(ToString::to_string);
    self::operation(operation, started, ended, error.is_none());
    spans::database(operation, &Context::current(), started, ended, 1, error.as_deref());
    result
}
