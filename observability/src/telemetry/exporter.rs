//! OTLP over gRPC, on a runtime of its own.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use opentelemetry_otlp::{SpanExporter as OtlpExporter, WithExportConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::{OTelSdkError, OTelSdkResult};
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::runtime::{Builder, Handle, Runtime};

use super::TelemetryError;
use super::settings::TelemetrySettings;

/// The thread and the runtime that the exporter's connection lives on.
#[derive(Debug)]
pub(super) struct ExportRuntime(Option<Runtime>);

impl ExportRuntime {
    pub(super) fn start() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread().worker_threads(1).thread_name("otlp-export").enable_all().build()?;
        Ok(Self(Some(runtime)))
    }

    /// Runs a task as long as this lives.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        drop(self.handle().spawn(task));
    }

    fn handle(&self) -> &Handle {
        self.0.as_ref().expect("it lives until it is dropped").handle()
    }
}

/// Does not wait: an export that hangs must not keep the process. By itself a runtime would wait, which panics where others
/// may not be kept waiting.
impl Drop for ExportRuntime {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// An exporter to the endpoint of `settings`. It connects when the first spans are sent, and again after a failure.
pub(super) fn otlp(settings: &TelemetrySettings, runtime: &ExportRuntime) -> Result<OnRuntime, TelemetryError> {
    let handle = runtime.handle().clone();
    // The channel's worker task is spawned when the exporter is built.
    let entered = handle.enter();
    let exporter = OtlpExporter::builder()
        .with_tonic()
        .with_endpoint(settings.otlp_endpoint.clone())
        .with_timeout(settings.batch.export_timeout)
        .build()
        .map_err(|error| TelemetryError::Exporter {
            endpoint: settings.otlp_endpoint.clone(),
            reason: error.to_string(),
        })?;
    drop(entered);
    Ok(OnRuntime { exporter: Arc::new(exporter), handle, timeout: settings.batch.export_timeout })
}

/// Runs each export on the exporter's runtime; the batch processor's thread, which has none, only waits for the result.
#[derive(Debug)]
pub(super) struct OnRuntime {
    exporter: Arc<OtlpExporter>,
    handle: Handle,
    timeout: Duration,
}

impl SpanExporter for OnRuntime {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let exporter = Arc::clone(&self.exporter);
        let timeout = self.timeout;
        let export = async move { tokio::time::timeout(timeout, exporter.export(batch)).await };
        match self.handle.spawn(export).await {
            Ok(Ok(result)) => result,
            Ok(Err(_elapsed)) => Err(OTelSdkError::Timeout(timeout)),
            Err(error) => Err(OTelSdkError::InternalFailure(error.to_string())),
        }
    }

    fn set_resource(&mut self, resource: &Resource) {
        // Nothing is exported before the provider, which calls this, is built: nobody else holds the exporter.
        if let Some(exporter) = Arc::get_mut(&mut self.exporter) {
            exporter.set_resource(resource);
        }
    }
}
