//! The bounded queue between finished spans and the collector, and the count of what does not reach it.
//!
//! The SDK's batch processor drops silently when its queue is full and ignores the export timeout. This pair around it
//! does both in the open: [`BoundedProcessor`] admits a span, [`CountingExporter`] takes it off the queue again.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use opentelemetry::Context;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::trace::{BatchSpanProcessor, Span, SpanData, SpanExporter, SpanProcessor};

use crate::names;

/// A collector that is away fails every few seconds; the log says so this often.
const REPORT_INTERVAL: Duration = Duration::from_mins(1);

/// Spans that were admitted and not yet handed to the exporter.
#[derive(Debug)]
pub(super) struct Queue {
    waiting: AtomicUsize,
    limit: usize,
}

impl Queue {
    pub(super) fn new(limit: usize) -> Self {
        Self { waiting: AtomicUsize::new(0), limit }
    }

    /// The limit is that of the SDK's queue, so that what is admitted here fits there.
    fn admit(&self) -> bool {
        if self.waiting.fetch_add(1, Ordering::AcqRel) < self.limit {
            return true;
        }
        self.release(1);
        false
    }

    fn release(&self, spans: usize) {
        self.waiting.fetch_sub(spans, Ordering::AcqRel);
    }
}

#[derive(Debug)]
pub(super) struct BoundedProcessor {
    sender: BatchSpanProcessor,
    queue: Arc<Queue>,
}

impl BoundedProcessor {
    pub(super) fn new(sender: BatchSpanProcessor, queue: Arc<Queue>) -> Self {
        Self { sender, queue }
    }
}

impl SpanProcessor for BoundedProcessor {
    fn on_start(&self, span: &mut Span, context: &Context) {
        self.sender.on_start(span, context);
    }

    fn on_end(&self, span: SpanData) {
        if self.queue.admit() {
            self.sender.on_end(span);
        } else {
            count_dropped("queue_full", 1);
        }
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.sender.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.sender.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.sender.set_resource(resource);
    }
}

#[derive(Debug)]
pub(super) struct CountingExporter<E> {
    exporter: E,
    queue: Arc<Queue>,
    last_report: Mutex<Option<Instant>>,
}

impl<E: SpanExporter> CountingExporter<E> {
    pub(super) fn new(exporter: E, queue: Arc<Queue>) -> Self {
        Self { exporter, queue, last_report: Mutex::new(None) }
    }

    fn is_time_to_report(&self) -> bool {
        let mut last_report = self.last_report.lock().unwrap_or_else(PoisonError::into_inner);
        let due = last_report.is_none_or(|last| last.elapsed() >= REPORT_INTERVAL);
        if due {
            *last_report = Some(Instant::now());
        }
        due
    }
}

impl<E: SpanExporter> SpanExporter for CountingExporter<E> {
    async fn export(&self, batch: Vec<SpanData>) -> OTelSdkResult {
        let spans = batch.len();
        self.queue.release(spans);
        let result = self.exporter.export(batch).await;
        if let Err(error) = &result {
            count_dropped("export_failed", spans);
            if self.is_time_to_report() {
                tracing::warn!(error = %error, spans, "spans were not exported; requests go on");
            }
        }
        result
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.exporter.shutdown_with_timeout(timeout)
    }

    fn set_resource(&mut self, resource: &Resource) {
        self.exporter.set_resource(resource);
    }
}

fn count_dropped(reason: &'static str, spans: usize) {
    let spans = u64::try_from(spans).unwrap_or(u64::MAX);
    metrics::counter!(names::TELEMETRY_DROPPED_SPANS, "reason" => reason).increment(spans);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn full_queue_admits_nothing_until_something_was_taken_off() {
        let queue = Queue::new(2);
        assert!(queue.admit() && queue.admit());
        assert!(!queue.admit());
        queue.release(1);
        assert!(queue.admit());
        assert!(!queue.admit());
    }
}
