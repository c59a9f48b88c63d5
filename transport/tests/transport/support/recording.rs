//! Metrics and spans of this process. Both belong to the process, so tests take turns.

use std::sync::{Arc, Mutex};

use observability::metrics_page::MetricsPage;
use observability::telemetry::{LogFormat, Telemetry, TelemetrySettings};
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{SpanData, SpanExporter};
use tokio::sync::{Mutex as AsyncMutex, MutexGuard};

static TURN: AsyncMutex<()> = AsyncMutex::const_new(());

pub(crate) struct Recording {
    telemetry: Telemetry,
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
    pub(crate) async fn start() -> Self {
        let turn = TURN.lock().await;
        let memory = Memory::default();
        let settings = TelemetrySettings {
            program: "test-svc".to_owned(),
            service_name: "test-svc".to_owned(),
            service_version: "0".to_owned(),
            service_instance_id: "test".to_owned(),
            otlp_endpoint: String::new(),
            disabled: false,
            resource_attributes: Default::default(),
            sampler: Default::default(),
            baggage_keys: Default::default(),
            batch: Default::default(),
            log_filter: Default::default(),
            log_format: LogFormat::Json,
        };
        let telemetry = Telemetry::start_with_exporter(settings, memory.clone()).unwrap();
        Self { telemetry, memory, _turn: turn }
    }

    pub(crate) fn spans(&self) -> Vec<SpanData> {
        self.telemetry.flush();
        self.memory.0.lock().unwrap().clone()
    }

    /// Calls counted so far by the server, for a method and a code.
    pub(crate) fn server_calls(&self, method: &str, code: &str) -> Counter {
        let name = "rpc_server_call_duration_seconds_count";
        let labels = format!(r#"{{rpc_method="{method}",rpc_response_status_code="{code}"}}"#);
        Counter::new(self.telemetry.metrics(), format!("{name}{labels}"))
    }

    pub(crate) fn client_calls(&self, method: &str, code: &str, server_address: &str) -> Counter {
        let name = "rpc_client_call_duration_seconds_count";
        let labels =
            format!(r#"{{rpc_method="{method}",rpc_response_status_code="{code}",server_address="{server_address}"}}"#);
        Counter::new(self.telemetry.metrics(), format!("{name}{labels}"))
    }

    pub(crate) fn breaker(&self, server_address: &str) -> Counter {
        let series = format!(r#"rpc_client_circuit_breaker_state{{server_address="{server_address}"}}"#);
        Counter::new(self.telemetry.metrics(), series)
    }

    pub(crate) fn ejected(&self, server_address: &str) -> Counter {
        let series = format!(r#"rpc_client_ejected_addresses{{server_address="{server_address}"}}"#);
        Counter::new(self.telemetry.metrics(), series)
    }

    /// Calls refused so far, by reason.
    pub(crate) fn refused(&self, reason: &str) -> Counter {
        Counter::new(self.telemetry.metrics(), format!(r#"rpc_server_refused_calls_total{{reason="{reason}"}}"#))
    }

    pub(crate) fn active(&self, method: &str) -> Counter {
        let series = format!(r#"rpc_server_active_requests{{rpc_method="{method}"}}"#);
        Counter::new(self.telemetry.metrics(), series)
    }
}

/// One series of the page, compared with what it was at first.
pub(crate) struct Counter {
    page: MetricsPage,
    series: String,
    before: f64,
}

impl Counter {
    fn new(page: MetricsPage, series: String) -> Self {
        let before = value(&page, &series);
        Self { page, series, before }
    }

    pub(crate) fn grown(&self) -> f64 {
        value(&self.page, &self.series) - self.before
    }
}

fn value(page: &MetricsPage, series: &str) -> f64 {
    let text = page.render();
    let line = text.lines().find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    line.map_or(0.0, |number| number.parse().unwrap())
}
