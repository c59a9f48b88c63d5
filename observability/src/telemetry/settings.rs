//! What telemetry needs to know. The values are read elsewhere; parsing and its errors are here.

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::Duration;

use super::resource::ResourceAttributes;
use super::sampler::Sampler;
use crate::logging::LogFilter;
use crate::propagation::BaggageKeys;

/// Settings of logs, metrics and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// The binary: what `build_info` names, whatever the service is called in traces.
    pub program: String,
    /// `service.name`: OTEL_SERVICE_NAME, or that of OTEL_RESOURCE_ATTRIBUTES, or the name of the binary.
    pub service_name: String,
    /// `service.version`.
    pub service_version: String,
    /// `service.instance.id`: tells replicas apart; different after a restart.
    pub service_instance_id: String,
    /// OTEL_EXPORTER_OTLP_ENDPOINT: OTLP over gRPC, `http://host:port`.
    pub otlp_endpoint: String,
    /// OTEL_SDK_DISABLED: no spans at all; ids that come in still pass on.
    pub disabled: bool,
    /// OTEL_RESOURCE_ATTRIBUTES: more attributes of every span of this process.
    pub resource_attributes: ResourceAttributes,
    /// OTEL_TRACES_SAMPLER and OTEL_TRACES_SAMPLER_ARG.
    pub sampler: Sampler,
    /// BAGGAGE_KEYS: what callers may send along to be passed on.
    pub baggage_keys: BaggageKeys,
    /// OTEL_BSP_*.
    pub batch: BatchSettings,
    /// RUST_LOG.
    pub log_filter: LogFilter,
    /// LOG_FORMAT.
    pub log_format: LogFormat,
}

/// How finished spans are collected and sent; defaults of the OpenTelemetry specification.
#[derive(Debug, Clone)]
pub struct BatchSettings {
    /// OTEL_BSP_MAX_QUEUE_SIZE: spans that wait to be sent; more are dropped and counted.
    pub max_queue_size: usize,
    /// OTEL_BSP_MAX_EXPORT_BATCH_SIZE: spans in one request to the collector.
    pub max_export_batch_size: usize,
    /// OTEL_BSP_SCHEDULE_DELAY: the longest a span waits for others.
    pub schedule_delay: Duration,
    /// OTEL_BSP_EXPORT_TIMEOUT: the longest a request to the collector takes.
    pub export_timeout: Duration,
}

impl Default for BatchSettings {
    fn default() -> Self {
        Self {
            max_queue_size: 2_048,
            max_export_batch_size: 512,
            schedule_delay: Duration::from_secs(5),
            export_timeout: Duration::from_secs(30),
        }
    }
}

/// How log lines look (LOG_FORMAT).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// `json`: one JSON object per line.
    Json,
    /// `text`: for people at a terminal.
    Text,
}

/// LOG_FORMAT is neither `json` nor `text`.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no log format: use json or text")]
pub struct LogFormatError(String);

impl LogFormat {
    /// The default: text when standard output is a terminal, else JSON.
    pub fn of_standard_output() -> Self {
        if std::io::stdout().is_terminal() { Self::Text } else { Self::Json }
    }
}

impl FromStr for LogFormat {
    type Err = LogFormatError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "json" => Ok(Self::Json),
            "text" => Ok(Self::Text),
            other => Err(LogFormatError(other.to_owned())),
        }
    }
}

impl fmt::Display for LogFormat {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Json => "json",
            Self::Text => "text",
        })
    }
}
