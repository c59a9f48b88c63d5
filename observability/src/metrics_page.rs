//! The page that Prometheus scrapes.
//!
//! One recorder serves the whole process and stays for its life: metric handles are cached everywhere.

use std::fmt;
use std::io;
use std::sync::mpsc::{RecvTimeoutError, SyncSender, sync_channel};
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::names;
use crate::process;
use crate::telemetry::{TelemetryError, TelemetrySettings};

/// Histograms keep every observation until upkeep sorts it into its bucket: unscraped, they would grow without end.
const UPKEEP_INTERVAL: Duration = Duration::from_secs(5);

static RECORDER: Mutex<Option<PrometheusHandle>> = Mutex::new(None);

/// Renders this process's metrics. Clones are cheap.
#[derive(Clone)]
pub struct MetricsPage(PrometheusHandle);

impl MetricsPage {
    /// All metrics in Prometheus' text format.
    pub fn render(&self) -> String {
        process::observe();
        self.0.render()
    }
}

impl fmt::Debug for MetricsPage {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("MetricsPage")
    }
}

/// Installs the recorder, or finds the one that an earlier start installed.
pub(crate) fn install(settings: &TelemetrySettings) -> Result<MetricsPage, TelemetryError> {
    let mut recorder = RECORDER.lock().unwrap_or_else(PoisonError::into_inner);
    let handle = match recorder.as_ref() {
        Some(handle) => handle.clone(),
        None => {
            let handle = build()?;
            names::describe_all();
            recorder.insert(handle).clone()
        }
    };
    metrics::gauge!(
        names::BUILD_INFO,
        "service" => settings.program.clone(),
        "version" => settings.service_version.clone(),
    )
    .set(1.0);
    Ok(MetricsPage(handle))
}

fn build() -> Result<PrometheusHandle, TelemetryError> {
    let order_completion = Matcher::Full(names::ORDER_COMPLETION.to_owned());
    let batches = Matcher::Full(names::WRITER_BATCH_COMMANDS.to_owned());
    // No idle timeout: it would detach handles that are cached.
    PrometheusBuilder::new()
        .set_buckets(&names::BUCKETS)
        .and_then(|builder| builder.set_buckets_for_metric(order_completion, &names::COMPLETION_BUCKETS))
        .and_then(|builder| builder.set_buckets_for_metric(batches, &names::BATCH_BUCKETS))
        .and_then(PrometheusBuilder::install_recorder)
        .map_err(|error| TelemetryError::Recorder(error.to_string()))
}

/// The thread that keeps histograms small.
#[derive(Debug)]
pub(crate) struct Upkeep {
    stop: SyncSender<()>,
    thread: JoinHandle<()>,
}

impl Upkeep {
    pub(crate) fn start(page: MetricsPage) -> io::Result<Self> {
        let (stop, stopped) = sync_channel(1);
        let thread = thread::Builder::new().name("metrics-upkeep".to_owned()).spawn(move || {
            while stopped.recv_timeout(UPKEEP_INTERVAL) == Err(RecvTimeoutError::Timeout) {
                page.0.run_upkeep();
            }
        })?;
        Ok(Self { stop, thread })
    }

    pub(crate) fn stop(self) {
        drop(self.stop);
        if self.thread.join().is_err() {
            tracing::warn!("metrics upkeep panicked");
        }
    }
}
