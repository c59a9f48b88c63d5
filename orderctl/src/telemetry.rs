//! Spans of this program's own, for the commands that begin traces.

use anyhow::Context as _;
use observability::logging::LogFilter;
use observability::propagation::BaggageKeys;
use observability::telemetry::{BatchSettings, LogFormat, ResourceAttributes, Sampler, Telemetry, TelemetrySettings};
use uuid::Uuid;

/// `service.name` of the spans.
const NAME: &str = "orderctl";

/// Starts sending spans to `otlp`. Every trace that begins here is recorded.
///
/// # Errors
/// `otlp` is no address.
pub(crate) fn start(otlp: &str, disabled: bool) -> anyhow::Result<Telemetry> {
    let settings = TelemetrySettings {
        program: NAME.to_owned(),
        service_name: NAME.to_owned(),
        service_version: env!("CARGO_PKG_VERSION").to_owned(),
        service_instance_id: Uuid::new_v4().to_string(),
        otlp_endpoint: otlp.to_owned(),
        disabled,
        resource_attributes: ResourceAttributes::default(),
        sampler: Sampler::default(),
        baggage_keys: BaggageKeys::default(),
        batch: BatchSettings::default(),
        // Standard output is the answer's.
        log_filter: "off".parse::<LogFilter>().context("the filter of no logs")?,
        log_format: LogFormat::Text,
    };
    Ok(Telemetry::start(settings)?)
}
