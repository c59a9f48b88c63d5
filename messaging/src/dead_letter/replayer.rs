//! Sending dead letters back to where they came from, as the records they were.
//!
//! What goes back has the key, the value and the headers that it had, `ce_*` included: it is the same event to whoever
//! reads it. It does not go on with the trace that ended in the dead letter: it gets one of its own that links to that one.
//! Without a tracer it has no trace context at all, and its consumer begins a trace.

use std::time::Duration;

use observability::propagation::TraceHeaders;
use observability::spans;
use opentelemetry::Context;
use opentelemetry::trace::TraceContextExt as _;
use proto::headers;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};

use super::letter::Letter;
use super::place::Place;
use crate::aside::Aside;
use crate::{settings, topics};

/// How long the brokers may take to acknowledge a record, as librdkafka reads it.
const PATIENCE_MILLISECONDS: &str = "30000";
/// The name of the span that a replay's trace begins with.
const ROOT: &str = "replay dead letter";

/// Why a letter did not go back.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// The topic takes no such record; others may pass.
    #[error("the topic refuses the record: {0}")]
    Refused(KafkaError),
    /// Nothing passes for the moment.
    #[error("the brokers do not take the record: {0}")]
    Brokers(KafkaError),
}

/// A letter that went back.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replayed {
    /// Where it lies now.
    pub place: Place,
    /// The trace that it begins, 32 hexadecimal digits; none without a tracer.
    pub trace_id: Option<String>,
}

/// Sends letters.
pub struct Replayer {
    producer: Aside<FutureProducer>,
}

impl Replayer {
    /// Does not connect yet.
    ///
    /// # Errors
    /// librdkafka takes no such address.
    pub fn new(bootstrap_servers: &str) -> Result<Self, KafkaError> {
        let producer = settings::client(bootstrap_servers, "replay")
            .set("enable.idempotence", "true")
            .set("acks", "all")
            .set("message.timeout.ms", PATIENCE_MILLISECONDS)
            .set("message.max.bytes", topics::DEAD_LETTER_MAX_BYTES)
            // One record is under way at a time: none is worth waiting for others.
            .set("linger.ms", "0")
            .set("compression.type", "lz4")
            // Back to the partition of its order's other events.
            .set("partitioner", "murmur2_random")
            .create()?;
        Ok(Self { producer: Aside::new(producer) })
    }

    /// Sends `letter` to `topic` and returns once it is acknowledged.
    ///
    /// # Errors
    /// It was not. After [`ReplayError::Brokers`] it may be there all the same; sending it again does no harm.
    pub async fn replay(&self, letter: &Letter, topic: &str) -> Result<Replayed, ReplayError> {
        let record = letter.record();
        let subject = record.key.as_deref().map(String::from_utf8_lossy).unwrap_or_default();
        let event_id = record.header(headers::CE_ID).unwrap_or_default();
        let root = spans::internal(ROOT, &[record.trace()]);
        spans::set_order(&root, &subject);
        let span = spans::send(topic, event_id, &subject, &root);

        let result = self.send(letter, topic, &TraceHeaders::of(&span)).await;
        if let Err(error) = &result {
            spans::fail(&span, error.to_string());
        }
        spans::end(&span);
        spans::end(&root);
        result.map(|place| Replayed { place, trace_id: trace_id(&span) }).map_err(failure)
    }

    async fn send(&self, letter: &Letter, topic: &str, trace: &TraceHeaders) -> Result<Place, KafkaError> {
        let headers = letter
            .headers_in(trace)
            .fold(OwnedHeaders::new(), |headers, (key, value)| headers.insert(Header { key, value }));
        let mut record = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
        record.key = letter.record().key.as_deref();
        record.payload = letter.record().value.as_deref();
        // The queue is empty, and `message.timeout.ms` bounds the rest.
        let sent = self.producer.send(record, Duration::ZERO).await.map_err(|(error, _)| error)?;
        Ok(Place { topic: topic.to_owned(), partition: sent.partition, offset: sent.offset })
    }
}

fn trace_id(span: &Context) -> Option<String> {
    let context = span.span().span_context().clone();
    context.is_valid().then(|| context.trace_id().to_string())
}

/// Only "too large" and "invalid" are about the record (R4).
fn failure(error: KafkaError) -> ReplayError {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord) => ReplayError::Refused(error),
        Some(_) | None => ReplayError::Brokers(error),
    }
}
