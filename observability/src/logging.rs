//! Log lines that name the trace they belong to.
//!
//! JSON, one object per line, for machines; text for people at a terminal. Both find the trace in
//! [`opentelemetry::Context::current`], so that a line written anywhere below a handler has the ids of its request.
//! Values are cut at 2 KiB and lines that repeat themselves are left out beyond a number: no error can flood a log. What
//! is logged can be changed while the process runs.

mod fields;
mod json;
mod levels;
mod repeats;
mod text;

use std::fmt;
use std::io;
use std::str::FromStr;
use std::sync::OnceLock;

use tracing::Subscriber;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::ParseError;
use tracing_subscriber::fmt::FormatEvent;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::fmt::format::DefaultFields;
use tracing_subscriber::layer::{Layered, SubscriberExt as _};
use tracing_subscriber::registry::{LookupSpan, Registry};
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::telemetry::{LogFormat, TelemetrySettings};
use json::JsonLines;
use repeats::Repeats;
use text::TextLines;

pub use levels::LogLevels;

/// The handle on this process's subscriber, once there is one.
static INSTALLED: OnceLock<LogLevels> = OnceLock::new();

/// Which events are logged (RUST_LOG): `info`, `info,sqlx=warn`, …
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogFilter(String);

/// RUST_LOG can't be read.
#[derive(Debug, thiserror::Error)]
#[error("{filter:?} is no log filter: {reason}")]
pub struct LogFilterError {
    filter: String,
    reason: ParseError,
}

impl LogFilter {
    /// OpenTelemetry reports on itself through `tracing`; what matters of it is logged and counted by
    /// [`telemetry`](crate::telemetry), so its own events stay out unless the filter asks for them.
    fn build(&self) -> Result<EnvFilter, LogFilterError> {
        let directives =
            if self.0.contains("opentelemetry") { self.0.clone() } else { format!("{},opentelemetry=off", self.0) };
        let parsed = EnvFilter::builder().parse(directives);
        parsed.map_err(|reason| LogFilterError { filter: self.0.clone(), reason })
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl FromStr for LogFilter {
    type Err = LogFilterError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let filter = Self(text.to_owned());
        filter.build().map(|_| filter)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// A subscriber that writes to `writer` as the settings say, and the handle on its filter.
/// [`Telemetry::start`](crate::telemetry::Telemetry) makes one the process's own; tests use it in a scope.
///
/// # Errors
/// The filter can't be read.
pub fn subscriber<W>(
    settings: &TelemetrySettings,
    writer: W,
) -> Result<(Box<dyn Subscriber + Send + Sync>, LogLevels), LogFilterError>
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let (filter, levels) = LogLevels::new(&settings.log_filter)?;
    let repeats = Repeats::default();
    let subscriber = match settings.log_format {
        LogFormat::Json => formatted(filter, JsonLines::new(settings, repeats.clone()), repeats, writer),
        LogFormat::Text => formatted(filter, TextLines::new(repeats.clone()), repeats, writer),
    };
    Ok((subscriber, levels))
}

/// Makes the settings' subscriber that of this process, writing to standard output as the
/// [twelve factors](https://12factor.net/logs) want. Where one is installed already, that one stays.
pub(crate) fn install(settings: &TelemetrySettings) -> Result<LogLevels, LogFilterError> {
    let (subscriber, levels) = subscriber(settings, io::stdout)?;
    // An error means that one is installed already, by an earlier start in the same process.
    if subscriber.try_init().is_ok() {
        return Ok(INSTALLED.get_or_init(|| levels).clone());
    }
    Ok(INSTALLED.get().cloned().unwrap_or(levels))
}

fn formatted<F, W>(
    filter: reload::Layer<EnvFilter, Registry>,
    format: F,
    repeats: Repeats,
    writer: W,
) -> Box<dyn Subscriber + Send + Sync>
where
    F: FormatEvent<Filtered, DefaultFields> + Send + Sync + 'static,
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let lines = tracing_subscriber::fmt::layer().event_format(format).with_writer(writer);
    Box::new(tracing_subscriber::registry().with(filter).with(repeats).with(lines))
}

type Filtered = Layered<Repeats, Layered<reload::Layer<EnvFilter, Registry>, Registry>>;

/// What both formats ask of the subscriber below them.
trait Spans: Subscriber + for<'span> LookupSpan<'span> {}
impl<S: Subscriber + for<'span> LookupSpan<'span>> Spans for S {}
