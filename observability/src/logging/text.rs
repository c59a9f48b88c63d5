//! Lines for people at a terminal: time, level, message, fields, and the beginning of the trace id.

use std::fmt;

use serde_json::Value;
use time::OffsetDateTime;
use time::format_description::BorrowedFormatItem;
use time::macros::format_description;
use tracing::{Event, Level};
use tracing_subscriber::fmt::format::Writer;
use tracing_subscriber::fmt::{FmtContext, FormatEvent, FormatFields};

use super::Spans;
use super::fields::{Fields, LEFT_OUT, current_span};
use super::repeats::Repeats;

const TIME_OF_DAY: &[BorrowedFormatItem<'_>] = format_description!("[hour]:[minute]:[second].[subsecond digits:3]");
/// Hexadecimal digits of the trace id: enough to tell the traces on a screen apart.
const SHORT_TRACE_ID: usize = 8;

pub(super) struct TextLines {
    repeats: Repeats,
}

impl TextLines {
    pub(super) fn new(repeats: Repeats) -> Self {
        Self { repeats }
    }
}

impl<S, N> FormatEvent<S, N> for TextLines
where
    S: Spans,
    N: for<'writer> FormatFields<'writer> + 'static,
{
    fn format_event(&self, _context: &FmtContext<'_, S, N>, mut writer: Writer<'_>, event: &Event<'_>) -> fmt::Result {
        let fields = Fields::of(event);
        let time = OffsetDateTime::now_utc().format(TIME_OF_DAY).unwrap_or_default();
        let level = *event.metadata().level();
        if writer.has_ansi_escapes() {
            write!(writer, "{time} \x1b[{}m{level:>5}\x1b[0m {}", color(level), escaped(&fields.message))?;
        } else {
            write!(writer, "{time} {level:>5} {}", escaped(&fields.message))?;
        }
        for (name, value) in &fields.others {
            match value {
                Value::String(text) if is_plain(text) => write!(writer, " {name}={text}")?,
                other => write!(writer, " {name}={other}")?,
            }
        }
        let left_out = self.repeats.left_out(event.metadata());
        if left_out > 0 {
            write!(writer, " {LEFT_OUT}={left_out}")?;
        }
        if let Some(span) = current_span() {
            let trace_id = span.trace_id().to_string();
            write!(writer, " trace_id={}", trace_id.get(..SHORT_TRACE_ID).unwrap_or(&trace_id))?;
        }
        writeln!(writer)
    }
}

/// The colors of SGR that terminals show levels in.
fn color(level: Level) -> u8 {
    match level {
        Level::ERROR => 31,
        Level::WARN => 33,
        Level::INFO => 32,
        Level::DEBUG => 34,
        Level::TRACE => 35,
    }
}

/// No event can move the cursor or forge a line.
fn escaped(text: &str) -> String {
    text.chars()
        .flat_map(|character| {
            let escape = character.is_control().then(|| character.escape_default());
            let plain = escape.is_none().then_some(character);
            escape.into_iter().flatten().chain(plain)
        })
        .collect()
}

fn is_plain(text: &str) -> bool {
    !text.is_empty() && !text.contains(|character: char| character.is_control() || character.is_whitespace())
}
