//! The fields of an event, in the order they were written, with values that fit a log line.

use std::fmt;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt as _};
use serde_json::{Number, Value};
use tracing::Event;
use tracing::field::{Field, Visit};

/// Bytes of one value that are kept.
const MAX_VALUE_BYTES: usize = 2 * 1_024;
const MESSAGE: &str = "message";
const CUT: &str = "…";
/// How many lines like this one were left out before it.
pub(super) const LEFT_OUT: &str = "repeats_left_out";

/// What an event says.
#[derive(Default)]
pub(super) struct Fields {
    pub(super) message: String,
    pub(super) others: Vec<(&'static str, Value)>,
}

impl Fields {
    pub(super) fn of(event: &Event<'_>) -> Self {
        let mut fields = Self::default();
        event.record(&mut fields);
        fields
    }

    fn add(&mut self, field: &Field, value: Value) {
        match (field.name(), value) {
            (MESSAGE, Value::String(text)) => self.message = text,
            (name, value) => self.others.push((name, value)),
        }
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no NaN and no infinity.
        let number = Number::from_f64(value).map_or_else(|| Value::from(value.to_string()), Value::Number);
        self.add(field, number);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.add(field, Value::from(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.add(field, Value::from(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.add(field, Value::from(value));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.add(field, Value::from(shortened(value.to_owned())));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.add(field, Value::from(shortened(format!("{value:?}"))));
    }
}

/// The trace that the line belongs to, if there is one.
pub(super) fn current_span() -> Option<SpanContext> {
    Context::map_current(|context| {
        let span_context = context.span().span_context().clone();
        span_context.is_valid().then_some(span_context)
    })
}

fn shortened(mut text: String) -> String {
    if text.len() > MAX_VALUE_BYTES {
        text.truncate(text.floor_char_boundary(MAX_VALUE_BYTES));
        text.push_str(CUT);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_value_is_cut_between_characters() {
        let cut = shortened("é".repeat(MAX_VALUE_BYTES));
        assert_eq!(cut, format!("{}{CUT}", "é".repeat(MAX_VALUE_BYTES / 2)));
        assert_eq!(shortened("short".to_owned()), "short");
    }
}
