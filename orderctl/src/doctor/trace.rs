//! The trace of the doctor's order. Its root is the doctor's own span, which is always recorded: whoever follows its
//! caller records the rest, however few traces are kept otherwise.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use observability::propagation::TraceHeaders;
use observability::spans;
use observability::telemetry::Telemetry;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use tonic::Request;
use tonic::metadata::MetadataValue;

use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use super::{DoctorArguments, Place, services};
use crate::story::missing_parts;
use crate::waterfall::Trace;
use crate::{jaeger, telemetry};

const POLL: Duration = Duration::from_millis(200);
/// How long the collector may take for the doctor's own span.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// The doctor's own span, and what sends it.
pub(super) struct Traced {
    telemetry: Arc<Mutex<Option<Telemetry>>>,
    root: Context,
}

impl Traced {
    pub(super) fn start(otlp: &str) -> anyhow::Result<Self> {
        let telemetry = telemetry::start(otlp, false)?;
        Ok(Self { telemetry: Arc::new(Mutex::new(Some(telemetry))), root: spans::internal("orderctl doctor", &[]) })
    }

    /// Makes a request part of the trace.
    pub(super) fn mark<T>(&self, request: &mut Request<T>) {
        let headers = TraceHeaders::of(&self.root);
        if let Some(value) = headers.traceparent.and_then(|text| MetadataValue::try_from(text).ok()) {
            request.metadata_mut().insert(proto::headers::TRACEPARENT, value);
        }
    }

    /// Ends the span and sends it. Blocking is another thread's.
    pub(super) async fn send(&self) -> anyhow::Result<()> {
        spans::end(&self.root);
        self.with_telemetry(|telemetry| {
            if let Some(telemetry) = telemetry {
                telemetry.flush();
            }
        })
        .await
    }

    pub(super) async fn stop(&self) -> anyhow::Result<()> {
        self.with_telemetry(|telemetry| {
            if let Some(telemetry) = telemetry.take() {
                telemetry.shutdown(LAST_SPANS);
            }
        })
        .await
    }

    fn id(&self) -> String {
        self.root.span().span_context().trace_id().to_string()
    }

    async fn with_telemetry(&self, action: impl FnOnce(&mut Option<Telemetry>) + Send + 'static) -> anyhow::Result<()> {
        let telemetry = Arc::clone(&self.telemetry);
        let acting = tokio::task::spawn_blocking(move || {
            action(&mut telemetry.lock().unwrap_or_else(PoisonError::into_inner));
        });
        Ok(acting.await?)
    }
}

/// Whether the order's trace has every part, from both services and over Kafka.
pub(super) async fn is_whole(
    examination: &mut Examination,
    arguments: &DoctorArguments,
    places: &[Place<'_>],
    traced: &Traced,
    dropped_before: &BTreeMap<&'static str, f64>,
) -> anyhow::Result<()> {
    let look = async {
        let begun = Instant::now();
        loop {
            let found = jaeger::fetch_trace(&arguments.jaeger.to_string(), &traced.id()).await;
            let trace =
                found.map_err(|error| broken(format!("{error:#}"), "Jaeger answered a moment ago: look at its log"))?;
            let missing = trace.as_ref().map(missing_parts);
            if let (Some(trace), Some([])) = (&trace, missing.as_deref()) {
                return Ok((format!("{}: {} spans, no orphan", trace.id, trace.spans.len()), ()));
            }
            if begun.elapsed() >= arguments.wait {
                let dropped = services::dropped_spans(places).await;
                let lost = places.iter().map(Place::service).find(|service| {
                    dropped.get(service).copied().unwrap_or_default()
                        > dropped_before.get(service).copied().unwrap_or_default()
                });
                return Err(incomplete(arguments, traced, trace.as_ref(), missing.unwrap_or_default(), lost));
            }
            tokio::time::sleep(POLL).await;
        }
    };
    examination.check(Check::Trace, look).await?;
    Ok(())
}

fn incomplete(
    arguments: &DoctorArguments,
    traced: &Traced,
    trace: Option<&Trace>,
    missing: Vec<&'static str>,
    lost: Option<&'static str>,
) -> Trouble {
    let (otlp, jaeger, id) = (&arguments.otlp, &arguments.jaeger, traced.id());
    if let Some(service) = lost {
        return broken(
            format!("{service} drops its spans: telemetry_dropped_spans_total has risen"),
            format!(
                "does OTEL_EXPORTER_OTLP_ENDPOINT of {service} name a collector that answers? Its log has the reason"
            ),
        );
    }
    let Some(trace) = trace else {
        return broken(
            format!("no span of {id} arrived, not even the doctor's own, sent to {otlp}"),
            format!(
                "does the collector at {otlp} write to the Jaeger at {jaeger}? Or did its tail sampling let the trace go? Or pass --otlp"
            ),
        );
    };
    let is_silent = |service: &&str| !trace.spans.iter().any(|span| span.service == **service);
    let silent: Vec<&str> =
        [proto::topics::ORDER_SERVICE, proto::topics::INVENTORY_SERVICE].into_iter().filter(is_silent).collect();
    if silent.is_empty() {
        return broken(
            format!("{id} lacks {}", missing.join(", ")),
            format!(
                "look at it: {jaeger}/trace/{id}; spans may come later than --wait allows (OTEL_BSP_SCHEDULE_DELAY)"
            ),
        );
    }
    let silent = silent.join(" and ");
    broken(
        format!("{id} has no span of {silent}"),
        format!(
            "look at {silent}: OTEL_SDK_DISABLED must be false, OTEL_TRACES_SAMPLER one that follows the caller \
             (parentbased_…), OTEL_EXPORTER_OTLP_ENDPOINT the collector's, and the name in traces its own (OTEL_SERVICE_NAME, \
             OTEL_RESOURCE_ATTRIBUTES)"
        ),
    )
}
