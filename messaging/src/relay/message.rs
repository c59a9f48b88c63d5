//! A row of the outbox as a record.

use observability::propagation::TraceHeaders;
use proto::headers;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use crate::dead_letter::{self, Reason};
use crate::headers::HeaderPairs;

/// A row of the outbox.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) event_id: Uuid,
    pub(super) event_type: String,
    pub(super) event_time: OffsetDateTime,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
    pub(super) baggage: Option<String>,
    pub(super) headers: Option<Vec<u8>>,
}

impl Row {
    /// The context of what caused the event.
    pub(super) fn cause(&self) -> TraceHeaders {
        TraceHeaders {
            traceparent: self.traceparent.clone(),
            tracestate: self.tracestate.clone(),
            baggage: self.baggage.clone(),
        }
    }

    pub(super) fn event_id(&self) -> String {
        self.event_id.hyphenated().to_string()
    }

    /// The key as text, for people.
    pub(super) fn subject(&self) -> String {
        self.key.as_deref().map_or_else(String::new, |key| String::from_utf8_lossy(key).into_owned())
    }

    /// The record, in the context of its `send` span; a dead letter keeps the headers that it had.
    pub(super) fn record(&self, source: &str, trace: &TraceHeaders) -> FutureRecord<'_, [u8], [u8]> {
        let pairs = self.header_pairs(source, trace);
        let headers = pairs.iter().fold(OwnedHeaders::new_with_capacity(pairs.len()), |headers, (name, value)| {
            headers.insert(Header { key: name, value: value.as_deref() })
        });
        let mut record = FutureRecord::to(&self.topic).headers(headers);
        record.key = self.key.as_deref();
        record.payload = self.value.as_deref();
        record
    }

    /// Headers of the dead letter that takes the place of a record which no broker takes: those it had, as long as they
    /// can be why, and why it was given up.
    pub(super) fn headers_of_dead_letter(&self, source: &str, reason: Reason) -> HeaderPairs {
        let size = self.value.as_ref().map_or(0, Vec::len).to_string();
        let was_truncated_before = self.value.is_none();
        let mut pairs =
            if was_truncated_before { Vec::new() } else { self.header_pairs(source, &TraceHeaders::default()) };
        for (name, value) in [
            (headers::DLQ_REASON, reason.as_str()),
            (headers::DLQ_ERROR, "the broker refuses the record, even alone"),
            (headers::DLQ_TOPIC, &self.topic),
            (headers::DLQ_TIME, &dead_letter::rfc3339(OffsetDateTime::now_utc())),
            (headers::DLQ_TRUNCATED, &size),
        ] {
            pairs.push((name.to_owned(), Some(value.as_bytes().to_vec())));
        }
        pairs
    }

    fn header_pairs(&self, source: &str, trace: &TraceHeaders) -> HeaderPairs {
        match &self.headers {
            Some(encoded) => crate::headers::decode(encoded).unwrap_or_default(),
            None => self.cloud_event(source, trace),
        }
    }

    /// The CloudEvents headers of an event, in binary mode, and its trace context.
    fn cloud_event(&self, source: &str, trace: &TraceHeaders) -> HeaderPairs {
        let (event_id, subject) = (self.event_id(), self.subject());
        let time = dead_letter::rfc3339(self.event_time);
        let always = [
            (headers::CE_SPECVERSION, headers::SPEC_VERSION),
            (headers::CE_ID, &event_id),
            (headers::CE_TYPE, &self.event_type),
            (headers::CE_SOURCE, source),
            (headers::CE_SUBJECT, &subject),
            (headers::CE_TIME, &time),
            (headers::CONTENT_TYPE, headers::PROTOBUF),
        ];
        let sometimes = [
            (headers::TRACEPARENT, &trace.traceparent),
            (headers::TRACESTATE, &trace.tracestate),
            (headers::BAGGAGE, &trace.baggage),
        ];
        let sometimes = sometimes.iter().filter_map(|(name, value)| Some((*name, value.as_deref()?)));
        always
            .into_iter()
            .chain(sometimes)
            .map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec())))
            .collect()
    }
}
