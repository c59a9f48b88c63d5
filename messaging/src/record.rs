//! A record as a consumer sees it, and what its headers say of the event inside.

use std::time::{Duration, Instant, SystemTime};

use observability::propagation::TraceHeaders;
use proto::headers;
use rdkafka::Message as _;
use rdkafka::message::{BorrowedMessage, Headers as _};
use uuid::Uuid;

/// A record read from Kafka.
#[derive(Clone, Debug)]
pub struct Record {
    /// Topic it was read from.
    pub topic: String,
    /// Partition it was read from.
    pub partition: i32,
    /// Offset it was read from.
    pub offset: i64,
    /// The key: an order id as text, when one of ours wrote it.
    pub key: Option<Vec<u8>>,
    /// The value: an encoded message of `events.v1`, when one of ours wrote it.
    pub value: Option<Vec<u8>>,
    /// All headers, in order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
    /// When it was read from Kafka.
    pub received: Instant,
    /// When it was written, by the clock of whoever did.
    pub written: Option<SystemTime>,
}

impl Record {
    pub(crate) fn of(message: &BorrowedMessage<'_>) -> Self {
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        Self {
            topic: message.topic().to_owned(),
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
            received: Instant::now(),
            written: message.timestamp().to_millis().and_then(|milliseconds| {
                SystemTime::UNIX_EPOCH.checked_add(Duration::from_millis(u64::try_from(milliseconds).ok()?))
            }),
        }
    }

    /// Whether it was written and read less than `age` ago. A clock that is wrong makes it old early, or as late as if it
    /// had been written when it was read.
    pub(crate) fn is_younger_than(&self, age: Duration) -> bool {
        let since_written = self.written.and_then(|written| written.elapsed().ok()).unwrap_or_default();
        since_written < age && self.received.elapsed() < age
    }

    /// Bytes of key, value and headers.
    pub(crate) fn size(&self) -> usize {
        let length = |bytes: &Option<Vec<u8>>| bytes.as_ref().map_or(0, Vec::len);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + length(value)).sum();
        length(&self.key) + length(&self.value) + headers
    }

    /// The last header of that name, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().rev().find(|(header, _)| header == name)?;
        std::str::from_utf8(found.1.as_deref()?).ok()
    }

    /// Full name of the message in the value, from `ce_type`.
    #[must_use]
    pub fn event_type(&self) -> Option<&str> {
        self.header(headers::CE_TYPE)
    }

    /// Id of the event, from `ce_id`.
    #[must_use]
    pub fn event_id(&self) -> Option<Uuid> {
        self.header(headers::CE_ID)?.parse().ok()
    }

    /// Trace context that the record carries: that of its `send` span.
    #[must_use]
    pub fn trace(&self) -> TraceHeaders {
        let text = |name| self.header(name).map(str::to_owned);
        TraceHeaders {
            traceparent: text(headers::TRACEPARENT),
            tracestate: text(headers::TRACESTATE),
            baggage: text(headers::BAGGAGE),
        }
    }
}
