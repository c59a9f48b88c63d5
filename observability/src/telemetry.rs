//! Starting and stopping telemetry: the log subscriber, the metrics recorder and the tracer of this process.
//!
//! Guarantees: starting needs no collector; stopping flushes what is queued and returns within its time limit, whatever
//! the collector does. A program that starts telemetry twice (a test with two services) gets the first log subscriber
//! and the first recorder again, and the newest tracer.

mod exporter;
mod queue;
mod rates;
mod remote;
mod resource;
mod sampler;
mod settings;
pub(crate) mod tracer;

use std::sync::Arc;
use std::time::Duration;

use opentelemetry_sdk::trace::{
    BatchConfigBuilder, BatchSpanProcessor, Sampler as SdkSampler, SdkTracerProvider, ShouldSample, SpanExporter,
};

use crate::logging::{self, LogLevels};
use crate::metrics_page::{self, MetricsPage, Upkeep};
use crate::propagation;

pub use resource::{ResourceAttributes, ResourceAttributesError};
pub use sampler::{Ratio, RatioError, RemoteSampling, Sampler, SamplerArgumentError, SamplerError};
pub use settings::{BatchSettings, LogFormat, LogFormatError, TelemetrySettings};

/// Running telemetry. Dropping it leaves spans unsent: call [`Telemetry::shutdown`].
#[derive(Debug)]
pub struct Telemetry {
    metrics: MetricsPage,
    log_levels: LogLevels,
    upkeep: Upkeep,
    tracing: Option<Tracing>,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum TelemetryError {
    /// The settings' log filter is not one that `tracing-subscriber` understands.
    #[error(transparent)]
    LogFilter(#[from] logging::LogFilterError),
    /// The settings' collector address can't be used.
    #[error("OTLP exporter for {endpoint} can't be built: {reason}")]
    Exporter {
        /// The address as configured.
        endpoint: String,
        /// What is wrong with it.
        reason: String,
    },
    /// Another library has installed a metrics recorder of its own.
    #[error("metrics recorder can't be installed: {0}")]
    Recorder(String),
    /// The operating system gave no thread.
    #[error("telemetry thread can't be started: {0}")]
    Thread(#[from] std::io::Error),
}

/// The part of telemetry that exists unless tracing is disabled.
#[derive(Debug)]
struct Tracing {
    provider: SdkTracerProvider,
    installed: tracer::Installed,
    runtime: exporter::ExportRuntime,
}

impl Telemetry {
    /// Starts logs, metrics and, unless disabled, traces to the OTLP collector of `settings`.
    ///
    /// Does not wait for the collector and needs no async runtime: the exporter has a thread and a runtime of its own,
    /// because the batch processor blocks on it and would hang a service's runtime.
    ///
    /// # Errors
    /// A log filter or an endpoint that can't be parsed; no thread; a foreign metrics recorder.
    pub fn start(settings: TelemetrySettings) -> Result<Self, TelemetryError> {
        if settings.disabled {
            return Self::assemble(&settings, None);
        }
        let runtime = exporter::ExportRuntime::start()?;
        let exporter = exporter::otlp(&settings, &runtime)?;
        let tracing = Tracing::start(&settings, exporter, runtime);
        Self::assemble(&settings, Some(tracing))
    }

    /// As [`Telemetry::start`], with finished spans going to `exporter`: for tests and for programs that keep their
    /// traces themselves.
    ///
    /// # Errors
    /// As [`Telemetry::start`].
    pub fn start_with_exporter<E>(settings: TelemetrySettings, exporter: E) -> Result<Self, TelemetryError>
    where
        E: SpanExporter + 'static,
    {
        if settings.disabled {
            return Self::assemble(&settings, None);
        }
        let tracing = Tracing::start(&settings, exporter, exporter::ExportRuntime::start()?);
        Self::assemble(&settings, Some(tracing))
    }

    /// The page that Prometheus scrapes.
    pub fn metrics(&self) -> MetricsPage {
        self.metrics.clone()
    }

    /// What is logged, to be changed while the process runs.
    pub fn log_levels(&self) -> LogLevels {
        self.log_levels.clone()
    }

    /// Sends the spans that are queued now and returns when that is done; for tests.
    pub fn flush(&self) {
        if let Some(tracing) = &self.tracing
            && let Err(error) = tracing.provider.force_flush()
        {
            tracing::warn!(error = %error, "spans were not flushed");
        }
    }

    /// Sends what is queued and stops. Blocks the calling thread for at most about `timeout`; spans that could not be
    /// sent by then are lost. From async code, call it in `spawn_blocking`.
    pub fn shutdown(self, timeout: Duration) {
        if let Some(tracing) = self.tracing {
            tracing.shutdown(timeout);
        }
        self.upkeep.stop();
    }

    fn assemble(settings: &TelemetrySettings, tracing: Option<Tracing>) -> Result<Self, TelemetryError> {
        let log_levels = logging::install(settings)?;
        propagation::pass_on(&settings.baggage_keys);
        let metrics = metrics_page::install(settings)?;
        let upkeep = Upkeep::start(metrics.clone())?;
        Ok(Self { metrics, log_levels, upkeep, tracing })
    }
}

impl Tracing {
    fn start<E: SpanExporter + 'static>(
        settings: &TelemetrySettings,
        exporter: E,
        runtime: exporter::ExportRuntime,
    ) -> Self {
        let queue = Arc::new(queue::Queue::new(settings.batch.max_queue_size));
        let batch = BatchConfigBuilder::default()
            .with_max_queue_size(settings.batch.max_queue_size)
            .with_max_export_batch_size(settings.batch.max_export_batch_size)
            .with_scheduled_delay(settings.batch.schedule_delay)
            .build();
        let sender = BatchSpanProcessor::new(queue::CountingExporter::new(exporter, Arc::clone(&queue)), batch);
        let TelemetrySettings { service_name, service_version, service_instance_id, resource_attributes, .. } =
            settings;
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(settings, &runtime))
            .with_resource(resource::build(service_name, service_version, service_instance_id, resource_attributes))
            .with_span_processor(queue::BoundedProcessor::new(sender, queue))
            .build();
        let follows_parent = settings.sampler.follows_parent();
        let installed = tracer::install(&provider, service_name, service_version, follows_parent);
        Self { provider, installed, runtime }
    }

    fn shutdown(self, timeout: Duration) {
        tracer::uninstall(self.installed);
        if let Err(error) = self.provider.shutdown_with_timeout(timeout) {
            tracing::warn!(error = %error, "last spans were not sent");
        }
        // Last, because the last spans are sent on it.
        drop(self.runtime);
    }
}

/// The SDK's form of the settings' sampler. One that asks Jaeger does so on the exporter's runtime, until that ends.
fn sampler(settings: &TelemetrySettings, runtime: &exporter::ExportRuntime) -> Box<dyn ShouldSample> {
    let parent_based = |root: Box<dyn ShouldSample>| SdkSampler::ParentBased(root).into();
    let share = |ratio: &Ratio| SdkSampler::TraceIdRatioBased(ratio.share());
    let followed = |remote: &RemoteSampling| {
        let sampler = rates::RemoteSampler::new(remote.initial);
        runtime.spawn(remote::follow(remote.clone(), settings.service_name.clone(), sampler.clone()));
        sampler
    };
    match &settings.sampler {
        Sampler::AlwaysOn => SdkSampler::AlwaysOn.into(),
        Sampler::AlwaysOff => SdkSampler::AlwaysOff.into(),
        Sampler::TraceIdRatio(ratio) => share(ratio).into(),
        Sampler::JaegerRemote(remote) => followed(remote).into(),
        Sampler::ParentBasedAlwaysOn => parent_based(SdkSampler::AlwaysOn.into()),
        Sampler::ParentBasedAlwaysOff => parent_based(SdkSampler::AlwaysOff.into()),
        Sampler::ParentBasedTraceIdRatio(ratio) => parent_based(share(ratio).into()),
        Sampler::ParentBasedJaegerRemote(remote) => parent_based(followed(remote).into()),
    }
}
