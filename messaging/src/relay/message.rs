//! Rows of the outbox, and their events as records.

use observability::propagation::TraceHeaders;
use proto::headers;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::FutureRecord;
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use crate::dead_letter::{self, Reason};
use crate::headers::HeaderPairs;

/// A row of the outbox: the events of one transaction. Element n of each list belongs to event n.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) id: i64,
    pub(super) topics: Vec<String>,
    pub(super) keys: Vec<Option<Vec<u8>>>,
    pub(super) payloads: Vec<Option<Vec<u8>>>,
    pub(super) event_ids: Vec<Uuid>,
    pub(super) event_types: Vec<String>,
    pub(super) event_times: Vec<OffsetDateTime>,
    pub(super) traceparents: Vec<Option<String>>,
    pub(super) tracestates: Vec<Option<String>>,
    pub(super) baggages: Vec<Option<String>>,
    pub(super) headers: Vec<Option<Vec<u8>>>,
    /// Rows that there were to choose from when it was read.
    pub(super) found: i64,
}

/// An event of a row.
#[derive(Clone, Debug)]
pub(super) struct Message {
    pub(super) topic: String,
    pub(super) key: Option<Vec<u8>>,
    pub(super) value: Option<Vec<u8>>,
    pub(super) event_id: Uuid,
    event_type: String,
    event_time: OffsetDateTime,
    cause: TraceHeaders,
    headers: Option<Vec<u8>>,
}

impl Row {
    /// Its events, in their order.
    pub(super) fn into_messages(self) -> Vec<Message> {
        let causes = self.traceparents.into_iter().zip(self.tracestates).zip(self.baggages);
        let mut causes =
            causes.map(|((traceparent, tracestate), baggage)| TraceHeaders { traceparent, tracestate, baggage });
        let mut headers = self.headers.into_iter();
        let records = self.topics.into_iter().zip(self.keys).zip(self.payloads);
        let attributes = self.event_ids.into_iter().zip(self.event_types).zip(self.event_times);
        records
            .zip(attributes)
            .map(|(((topic, key), value), ((event_id, event_type), event_time))| Message {
                topic,
                key,
                value,
                event_id,
                event_type,
                event_time,
                cause: causes.next().unwrap_or_default(),
                headers: headers.next().flatten(),
            })
            .collect()
    }
}

impl Message {
    /// The context of what caused the event.
    pub(super) fn cause(&self) -> &TraceHeaders {
        &self.cause
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
