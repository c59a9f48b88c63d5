//! What telemetry needs to know. The values are read elsewhere; parsing and its errors are here.

use std::fmt;
use std::io::IsTerminal as _;
use std::str::FromStr;
use std::time::Duration;

use opentelemetry_sdk::trace::Sampler as SdkSampler;

use super::resource::ResourceAttributes;
use crate::logging::LogFilter;

/// Settings of logs, metrics and traces.
#[derive(Debug, Clone)]
pub struct TelemetrySettings {
    /// `service.name`: the name of the binary, unless OTEL_SERVICE_NAME says otherwise.
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

/// Which traces are recorded (OTEL_TRACES_SAMPLER). Parses from the names of the OpenTelemetry specification that this
/// platform supports; others, `jaeger_remote` among them, are refused rather than silently replaced.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub enum Sampler {
    /// `always_on`: every span, whatever the caller decided.
    AlwaysOn,
    /// `always_off`: no span.
    AlwaysOff,
    /// `traceidratio`: a share of the traces, whatever the caller decided.
    TraceIdRatio(Ratio),
    /// `parentbased_always_on`: as the caller decided; every trace that begins here.
    #[default]
    ParentBasedAlwaysOn,
    /// `parentbased_always_off`: as the caller decided; no trace that begins here.
    ParentBasedAlwaysOff,
    /// `parentbased_traceidratio`: as the caller decided; a share of the traces that begin here.
    ParentBasedTraceIdRatio(Ratio),
}

/// OTEL_TRACES_SAMPLER is not one of the supported names.
#[derive(Debug, thiserror::Error)]
#[error(
    "{0:?} is no supported sampler: use always_on, always_off, traceidratio, parentbased_always_on, \
     parentbased_always_off or parentbased_traceidratio"
)]
pub struct SamplerError(String);

impl Sampler {
    /// The same sampler with the share of OTEL_TRACES_SAMPLER_ARG, which samplers without a ratio ignore.
    #[must_use]
    pub fn with_ratio(self, ratio: Ratio) -> Self {
        match self {
            Self::TraceIdRatio(_) => Self::TraceIdRatio(ratio),
            Self::ParentBasedTraceIdRatio(_) => Self::ParentBasedTraceIdRatio(ratio),
            other @ (Self::AlwaysOn | Self::AlwaysOff | Self::ParentBasedAlwaysOn | Self::ParentBasedAlwaysOff) => {
                other
            }
        }
    }

    /// Whether a caller that does not record its trace is followed.
    pub(crate) fn follows_parent(self) -> bool {
        match self {
            Self::AlwaysOn | Self::AlwaysOff | Self::TraceIdRatio(_) => false,
            Self::ParentBasedAlwaysOn | Self::ParentBasedAlwaysOff | Self::ParentBasedTraceIdRatio(_) => true,
        }
    }

    pub(crate) fn to_sdk(self) -> SdkSampler {
        let parent_based = |root: SdkSampler| SdkSampler::ParentBased(Box::new(root));
        match self {
            Self::AlwaysOn => SdkSampler::AlwaysOn,
            Self::AlwaysOff => SdkSampler::AlwaysOff,
            Self::TraceIdRatio(Ratio(share)) => SdkSampler::TraceIdRatioBased(share),
            Self::ParentBasedAlwaysOn => parent_based(SdkSampler::AlwaysOn),
            Self::ParentBasedAlwaysOff => parent_based(SdkSampler::AlwaysOff),
            Self::ParentBasedTraceIdRatio(Ratio(share)) => parent_based(SdkSampler::TraceIdRatioBased(share)),
        }
    }
}

impl FromStr for Sampler {
    type Err = SamplerError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "always_on" => Ok(Self::AlwaysOn),
            "always_off" => Ok(Self::AlwaysOff),
            "traceidratio" => Ok(Self::TraceIdRatio(Ratio::ALL)),
            "parentbased_always_on" => Ok(Self::ParentBasedAlwaysOn),
            "parentbased_always_off" => Ok(Self::ParentBasedAlwaysOff),
            "parentbased_traceidratio" => Ok(Self::ParentBasedTraceIdRatio(Ratio::ALL)),
            other => Err(SamplerError(other.to_owned())),
        }
    }
}

/// A share of all traces, from 0 to 1 (OTEL_TRACES_SAMPLER_ARG).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio(f64);

/// OTEL_TRACES_SAMPLER_ARG is no share.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is no number from 0 to 1")]
pub struct RatioError(String);

impl Ratio {
    /// Every trace.
    pub const ALL: Self = Self(1.0);
}

impl FromStr for Ratio {
    type Err = RatioError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<f64>() {
            Ok(share) if (0.0..=1.0).contains(&share) => Ok(Self(share)),
            Ok(_) | Err(_) => Err(RatioError(text.to_owned())),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sampler_takes_the_specification_s_names_and_no_others() {
        let ratio: Ratio = "0.25".parse().unwrap();
        let sampler: Sampler = "parentbased_traceidratio".parse().unwrap();
        assert_eq!(sampler.with_ratio(ratio), Sampler::ParentBasedTraceIdRatio(ratio));
        assert_eq!("always_off".parse::<Sampler>().unwrap().with_ratio(ratio), Sampler::AlwaysOff);
        assert!("jaeger_remote".parse::<Sampler>().is_err());
    }

    #[test]
    fn ratio_outside_of_zero_to_one_is_refused() {
        for text in ["-0.1", "1.1", "NaN", "inf", "half", ""] {
            assert!(text.parse::<Ratio>().is_err(), "{text}");
        }
    }
}
