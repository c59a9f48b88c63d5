//! The settings that every service has.

use std::net::SocketAddr;
use std::time::Duration;

use observability::logging::LogFilter;
use observability::propagation::BaggageKeys;
use observability::telemetry::{BatchSettings, LogFormat, ResourceAttributes, Sampler, TelemetrySettings};
use tonic::transport::Uri;

use super::Service;
use crate::settings::SettingsReader;

#[derive(Debug)]
pub(super) struct CommonSettings {
    pub(super) admin_listen: SocketAddr,
    /// From the request to stop until the process has ended.
    pub(super) shutdown_grace: Duration,
    /// From saying "not serving" until new calls are refused.
    pub(super) drain_delay: Duration,
    /// Complete but for the instance id.
    pub(super) telemetry: TelemetrySettings,
}

impl CommonSettings {
    pub(super) fn read<S: Service>(reader: &mut SettingsReader) -> Self {
        let admin_listen = reader.address("ADMIN_LISTEN", S::ADMIN_LISTEN, "serves /metrics, /livez, /readyz and /log");
        // Declared so that a file which sets it is not refused.
        reader.address("HTTP_LISTEN", S::HTTP_LISTEN, "reserved for the HTTP/JSON gateway; nothing listens there yet");
        let shutdown_grace =
            reader.duration("SHUTDOWN_GRACE", "20s", "from SIGTERM to the end; a container's grace must be longer");
        let drain_delay = reader.duration("DRAIN_DELAY", "0s", "from saying not serving until new calls are refused");
        if drain_delay >= shutdown_grace {
            reader.reject("DRAIN_DELAY", "must be shorter than SHUTDOWN_GRACE".to_owned());
        }
        Self { admin_listen, shutdown_grace, drain_delay, telemetry: telemetry::<S>(reader) }
    }
}

fn telemetry<S: Service>(reader: &mut SettingsReader) -> TelemetrySettings {
    let service_name: Option<String> = reader.optional(
        "OTEL_SERVICE_NAME",
        "service.name of traces; when it is unset, that of OTEL_RESOURCE_ATTRIBUTES, or else the program's",
    );
    let resource_attributes: ResourceAttributes =
        reader.optional("OTEL_RESOURCE_ATTRIBUTES", "more attributes of traces: key=value,…").unwrap_or_default();
    TelemetrySettings {
        program: S::NAME.to_owned(),
        log_filter: reader.value::<LogFilter>("RUST_LOG", "info", "what is logged: info, info,sqlx=warn, …"),
        log_format: reader
            .optional("LOG_FORMAT", "json or text; when it is unset, text on a terminal and else json")
            .unwrap_or_else(LogFormat::of_standard_output),
        otlp_endpoint: otlp_endpoint(reader),
        disabled: reader.flag("OTEL_SDK_DISABLED", "false", "true: no tracing at all; ids still pass on"),
        service_name: service_name.as_deref().or(resource_attributes.service_name()).unwrap_or(S::NAME).to_owned(),
        service_version: S::VERSION.to_owned(),
        service_instance_id: String::new(),
        resource_attributes,
        sampler: sampler(reader),
        baggage_keys: reader
            .optional::<BaggageKeys>("BAGGAGE_KEYS", "entries of callers' baggage that pass on: tenant,…; no others do")
            .unwrap_or_default(),
        batch: batch(reader),
    }
}

fn otlp_endpoint(reader: &mut SettingsReader) -> String {
    const NAME: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
    let endpoint: String = reader.value(NAME, "http://127.0.0.1:4317", "collector of traces, OTLP over gRPC");
    // Checked here, so that `check-config` finds what would otherwise fail at start or, unseen, at each export.
    let is_usable = |uri: Uri| uri.scheme_str() == Some("http") && uri.host().is_some();
    if !endpoint.parse::<Uri>().is_ok_and(is_usable) {
        reader.reject(NAME, "not an address of a collector: write http://HOST:PORT".to_owned());
    }
    endpoint
}

fn sampler(reader: &mut SettingsReader) -> Sampler {
    const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
    let sampler: Sampler = reader.value(
        "OTEL_TRACES_SAMPLER",
        "parentbased_always_on",
        "which traces are kept: [parentbased_]always_on, always_off, traceidratio or jaeger_remote",
    );
    let argument: Option<String> = reader.optional(
        ARGUMENT,
        "share for traceidratio (1); endpoint=http://127.0.0.1:5779,pollingIntervalMs=10000,initialSamplingRate=0.001 for \
         jaeger_remote",
    );
    let Some(argument) = argument else { return sampler };
    sampler.clone().with_argument(&argument).unwrap_or_else(|problem| {
        reader.reject(ARGUMENT, problem.to_string());
        sampler
    })
}

/// The OpenTelemetry specification gives these times in milliseconds without a unit.
fn batch(reader: &mut SettingsReader) -> BatchSettings {
    const QUEUE: &str = "OTEL_BSP_MAX_QUEUE_SIZE";
    const BATCH: &str = "OTEL_BSP_MAX_EXPORT_BATCH_SIZE";
    let schedule_delay: u64 = reader.value("OTEL_BSP_SCHEDULE_DELAY", "5000", "ms that a span waits for others");
    let export_timeout: u64 = reader.value("OTEL_BSP_EXPORT_TIMEOUT", "30000", "ms that one export may take");
    let max_queue_size: usize = reader.value(QUEUE, "2048", "spans that wait; more are dropped and counted");
    let max_export_batch_size: usize = reader.value(BATCH, "512", "spans in one export at most");
    if max_queue_size == 0 {
        reader.reject(QUEUE, "must be at least 1".to_owned());
    }
    if max_export_batch_size == 0 || max_export_batch_size > max_queue_size {
        reader.reject(BATCH, format!("must be at least 1 and not more than {QUEUE}"));
    }
    BatchSettings {
        max_queue_size,
        max_export_batch_size,
        schedule_delay: Duration::from_millis(schedule_delay),
        export_timeout: Duration::from_millis(export_timeout),
    }
}
