//! A dead letter as it lies in its topic: what its headers say, and what of the record can go back.

use observability::propagation::TraceHeaders;
use proto::headers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::place::Place;
use super::topic_for;
use crate::record::Record;

/// What names of the headers begin with that a dead letter has and its record had not.
const OWN_HEADERS: &str = "dlq-";

/// Why a dead letter can't go back, ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotReplayable {
    /// It has a `dlq-truncated` header.
    #[error("its value was too large to carry and is gone")]
    Truncated,
    /// It has no `dlq-topic` header that fits the topic it lies in.
    #[error("no dlq-topic header says where it came from")]
    NoTopic,
}

/// A dead letter. Its headers are read from the last one of a name: who gave a record up wrote behind what was there.
#[derive(Clone, Debug)]
pub struct Letter {
    record: Record,
}

impl From<Record> for Letter {
    /// A record that was read from a dead-letter topic.
    fn from(record: Record) -> Self {
        Self { record }
    }
}

impl Letter {
    /// The record as it lies there, with the headers that make it a dead letter.
    #[must_use]
    pub fn record(&self) -> &Record {
        &self.record
    }

    /// Where it lies: its name.
    #[must_use]
    pub fn place(&self) -> Place {
        let Record { topic, partition, offset, .. } = &self.record;
        Place { topic: topic.clone(), partition: *partition, offset: *offset }
    }

    /// Why it was given up, [as a word](super::Reason::as_str).
    #[must_use]
    pub fn reason(&self) -> Option<&str> {
        self.record.header(headers::DLQ_REASON)
    }

    /// What went wrong, for people.
    #[must_use]
    pub fn error(&self) -> Option<&str> {
        self.record.header(headers::DLQ_ERROR)
    }

    /// The consumer group that gave up; none when a relay did, because the broker would not take the record.
    #[must_use]
    pub fn group(&self) -> Option<&str> {
        self.record.header(headers::DLQ_GROUP)
    }

    /// When it was given up, or else when it was written to its topic.
    #[must_use]
    pub fn time(&self) -> Option<OffsetDateTime> {
        let said = self.record.header(headers::DLQ_TIME).and_then(|time| OffsetDateTime::parse(time, &Rfc3339).ok());
        said.or_else(|| self.record.written.map(OffsetDateTime::from))
    }

    /// Bytes of the value that was too large to carry, as the header says.
    #[must_use]
    pub fn truncated(&self) -> Option<&str> {
        self.record.header(headers::DLQ_TRUNCATED)
    }

    /// The topic that the record came from: the last one named whose dead letters lie here. (A dead letter that was too
    /// large itself names the topic it was on its way to as well.)
    #[must_use]
    pub fn source_topic(&self) -> Option<&str> {
        let named = self.record.headers.iter().rev().filter(|(name, _)| name == headers::DLQ_TOPIC);
        named
            .filter_map(|(_, value)| std::str::from_utf8(value.as_deref()?).ok())
            .find(|topic| topic_for(topic) == self.record.topic)
    }

    /// Where the record was read; none when it was never in a topic.
    #[must_use]
    pub fn source(&self) -> Option<Place> {
        Some(Place {
            topic: self.source_topic()?.to_owned(),
            partition: self.record.header(headers::DLQ_PARTITION)?.parse().ok()?,
            offset: self.record.header(headers::DLQ_OFFSET)?.parse().ok()?,
        })
    }

    /// The topic that it can go back to.
    ///
    /// # Errors
    /// It can't.
    pub fn replay_topic(&self) -> Result<&str, NotReplayable> {
        if self.record.headers.iter().any(|(name, _)| name == headers::DLQ_TRUNCATED) {
            return Err(NotReplayable::Truncated);
        }
        self.source_topic().ok_or(NotReplayable::NoTopic)
    }

    /// The headers that go back: those of the record, without what made it a dead letter and without the trace that it
    /// was part of, in place of which come those of `trace`.
    pub(super) fn headers_in<'a>(
        &'a self,
        trace: &'a TraceHeaders,
    ) -> impl Iterator<Item = (&'a str, Option<&'a [u8]>)> {
        const OF_TRACES: [&str; 3] = [headers::TRACEPARENT, headers::TRACESTATE, headers::BAGGAGE];
        let kept = self.record.headers.iter().map(|(name, value)| (name.as_str(), value.as_deref()));
        let own = [&trace.traceparent, &trace.tracestate, &trace.baggage];
        kept.filter(|(name, _)| !name.starts_with(OWN_HEADERS) && !OF_TRACES.contains(name)).chain(
            OF_TRACES.into_iter().zip(own).filter_map(|(name, value)| Some((name, Some(value.as_deref()?.as_bytes())))),
        )
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::time::Instant;

    use super::*;

    /// A letter in `orders.v1.dlq/4@17` with these headers.
    pub(in super::super) fn letter(headers: &[(&str, &str)]) -> Letter {
        let header = |(name, value): &(&str, &str)| ((*name).to_owned(), Some(value.as_bytes().to_vec()));
        Letter::from(Record {
            topic: proto::topics::ORDERS_DEAD_LETTERS.to_owned(),
            partition: 4,
            offset: 17,
            key: Some(b"order".to_vec()),
            value: Some(b"value".to_vec()),
            headers: headers.iter().map(header).collect(),
            received: Instant::now(),
            written: None,
        })
    }

    #[test]
    fn headers_of_a_letter_say_what_happened_and_where() {
        let letter = letter(&[
            ("ce_id", "1"),
            ("dlq-reason", "undecodable"),
            ("dlq-error", "no message"),
            ("dlq-topic", "orders.v1"),
            ("dlq-partition", "2"),
            ("dlq-offset", "93"),
            ("dlq-group", "inventory-svc"),
            ("dlq-time", "2026-01-02T03:04:05Z"),
        ]);
        assert_eq!((letter.reason(), letter.error()), (Some("undecodable"), Some("no message")));
        assert_eq!(letter.source().map(|place| place.to_string()).as_deref(), Some("orders.v1/2@93"));
        assert_eq!(letter.group(), Some("inventory-svc"));
        assert_eq!(letter.time().map(OffsetDateTime::unix_timestamp), Some(1_767_323_045));
        assert_eq!(letter.replay_topic(), Ok("orders.v1"));
    }

    #[test]
    fn letter_that_was_too_large_itself_still_says_where_its_record_came_from() {
        let letter = letter(&[
            ("dlq-reason", "undecodable"),
            ("dlq-topic", "orders.v1"),
            ("dlq-partition", "2"),
            ("dlq-offset", "93"),
            ("dlq-reason", "too_large"),
            ("dlq-topic", "orders.v1.dlq"),
            ("dlq-truncated", "5000000"),
        ]);
        assert_eq!(letter.source().map(|place| place.to_string()).as_deref(), Some("orders.v1/2@93"));
        assert_eq!((letter.reason(), letter.truncated()), (Some("too_large"), Some("5000000")));
        assert_eq!(letter.replay_topic(), Err(NotReplayable::Truncated));
    }

    #[test]
    fn letter_goes_back_to_the_topic_that_it_lies_beside_only() {
        assert_eq!(letter(&[]).replay_topic(), Err(NotReplayable::NoTopic));
        assert_eq!(letter(&[("dlq-topic", "inventory.v1")]).replay_topic(), Err(NotReplayable::NoTopic));
        assert_eq!(letter(&[("dlq-topic", "elsewhere"), ("dlq-topic", "orders.v1")]).replay_topic(), Ok("orders.v1"));
    }

    #[test]
    fn what_goes_back_has_a_trace_of_its_own_and_every_other_header_in_order() {
        let letter = letter(&[
            ("x", "1"),
            ("traceparent", "the original's"),
            ("baggage", "the original's"),
            ("x", "2"),
            ("dlq-reason", "undecodable"),
        ]);
        let trace = TraceHeaders { traceparent: Some("its own".to_owned()), ..TraceHeaders::default() };
        let sent: Vec<_> = letter.headers_in(&trace).collect();
        assert_eq!(sent, [("x", Some(&b"1"[..])), ("x", Some(&b"2"[..])), ("traceparent", Some(&b"its own"[..]))]);
    }
}
