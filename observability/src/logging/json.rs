//! One JSON object per line.

use std::fmt;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::Event;
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};

use super::Spans;
use super::fields::{Fields, LEFT_OUT, current_span};
use super::repeats::Repeats;
use crate::telemetry::TelemetrySettings;

/// RFC 3339, always in UTC and always with six digits, so that lines sort as text.
const TIMESTAMP: &[BorrowedFormatItem<'_>] =
    format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:6]Z");

/// What every line has, whatever the event.
const OWN_FIELDS: [&str; 9] =
    ["timestamp", "level", "target", "message", "service", "version", "trace_id", "span_id", LEFT_OUT];

/// Writes `timestamp`, `level`, `target` and `message`, the event's own fields at the same level with dotted names as
/// they are, then `service`, `version`, `trace_id` and `span_id`.
pub(super) struct JsonLines {
    service: String,
    version: String,
    repeats: Repeats,
}

impl JsonLines {
    pub(super) fn new(settings: &TelemetrySettings, repeats: Repeats) -> Self {
        Self { service: settings.service_name.clone(), version: settings.service_version.clone(), repeats }
    }

    fn write(&self, line: &mut impl fmt::Write, event: &Event<'_>, now: OffsetDateTime) -> fmt::Result {
        let fields = Fields::of(event);
        let text = |value: &str| Value::from(value);
        write!(line, r#"{{"timestamp":{}"#, text(&now.format(TIMESTAMP).unwrap_or_default()))?;
        write!(line, r#","level":{}"#, text(event.metadata().level().as_str()))?;
        write!(line, r#","target":{}"#, text(event.metadata().target()))?;
        write!(line, r#","message":{}"#, text(&fields.message))?;
        for (name, value) in &fields.others {
            // No field of an event can take the place of the line's own.
            let prefix = if OWN_FIELDS.contains(name) { "field." } else { "" };
            write!(line, r#",{}:{value}"#, text(&format!("{prefix}{name}")))?;
        }
        let left_out = self.repeats.left_out(event.metadata());
        if left_out > 0 {
            write!(line, r#","{LEFT_OUT}":{left_out}"#)?;
        }
        write!(line, r#","service":{},"version":{}"#, text(&self.service), text(&self.version))?;
        if let Some(span) = current_span() {
            write!(line, r#","trace_id":"{}","span_id":"{}""#, span.trace_id(), span.span_id())?;
        }
        line.write_str("}")
    }
}

impl<S, N> FormatEvent<S, N> for JsonLines
where
    S: Spans,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        self.write(&mut writer, event, OffsetDateTime::now_utc())?;
        writeln!(writer)
    }
}
