//! Telemetry whose spans stay in memory, one test at a time.

mod output;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use observability::telemetry::{LogFormat, Sampler, Telemetry, TelemetrySettings};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};

pub(crate) use output::Output;

/// The tracer belongs to the process: tests that start one take turns.
static TURN: Mutex<()> = Mutex::new(());

/// Started telemetry and the spans that it has finished.
pub(crate) struct Recording {
    telemetry: Option<Telemetry>,
    memory: Memory,
    _turn: MutexGuard<'static, ()>,
}

#[derive(Clone, Debug, Default)]
struct Memory(Arc<Mutex<Vec<SpanData>>>);

impl SpanExporter for Memory {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        self.0.lock().unwrap().extend(batch);
        Ok(())
    }
}

impl Recording {
    pub(crate) fn start(sampler: Sampler, disabled: bool) -> Self {
        let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
        let memory = Memory::default();
        let settings = TelemetrySettings { disabled, sampler, ..settings() };
        let telemetry = Telemetry::start_with_exporter(settings, memory.clone()).unwrap();
        Self { telemetry: Some(telemetry), memory, _turn: turn }
    }

    pub(crate) fn telemetry(&self) -> &Telemetry {
        self.telemetry.as_ref().unwrap()
    }

    /// All spans that have ended.
    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.telemetry().flush();
        self.memory.0.lock().unwrap().clone()
    }

    /// The only span of that name.
    pub(crate) fn span(&self, name: &str) -> SpanData {
        let mut found: Vec<_> = self.spans().into_iter().filter(|span| span.name == name).collect();
        assert_eq!(found.len(), 1, "spans named {name}");
        found.remove(0)
    }
}

impl Recording {
    /// Ends it; the next test's turn has not come yet.
    pub(crate) fn stop(&mut self) {
        if let Some(telemetry) = self.telemetry.take() {
            telemetry.shutdown(Duration::from_secs(5));
        }
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        self.stop();
    }
}

pub(crate) fn settings() -> TelemetrySettings {
    TelemetrySettings {
        program: "test-program".to_owned(),
        service_name: "test-svc".to_owned(),
        service_version: "1.2.3".to_owned(),
        service_instance_id: "one".to_owned(),
        otlp_endpoint: "http://127.0.0.1:9".to_owned(),
        disabled: false,
        resource_attributes: "deployment.environment.name=test".parse().unwrap(),
        sampler: Sampler::ParentBasedAlwaysOn,
        baggage_keys: Default::default(),
        batch: Default::default(),
        log_filter: "info".parse().unwrap(),
        log_format: LogFormat::Json,
    }
}
