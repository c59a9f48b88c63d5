//! Dead letters: records that a consumer gave up on, on their way to `<topic>.dlq` as they were, with `dlq-*` headers that
//! say why; and their way back.
//!
//! The way there is the outbox's. The way back is for people, once the cause is mended: a [`Reader`] reads [`Letter`]s, a
//! [`Plan`] says which of them can go back, and a [`Replayer`] sends those. Reading joins no group and commits nothing, and
//! a replay takes nothing away: a letter stays where it lies until its topic's retention ends it. Sent twice, it changes
//! nothing the second time, as any redelivery (I5).

mod letter;
mod place;
mod plan;
mod reader;
mod replayer;

use observability::propagation::TraceHeaders;
use proto::headers;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

use crate::outbox::OutboxRecord;
use crate::record::Record;

pub use letter::{Letter, NotReplayable};
pub use place::{NoPlace, Place};
pub use plan::{Decision, Plan};
pub use reader::{Letters, ReadError, Reader};
pub use replayer::{ReplayError, Replayed, Replayer};

/// Why a record can't be processed; the closed list behind `dlq-reason` and `dead_letters_total`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// The value is no message of the type that the headers name, or its fields break the contract.
    Undecodable,
    /// No or an unknown `ce_type`.
    UnknownType,
    /// The event can't have happened to what this service knows: the "dead letter" cells of the protocol's tables.
    ImpossibleTransition,
    /// The database refuses the event's data.
    Refused,
    /// The broker refuses the record as too large, even alone.
    TooLarge,
    /// The broker refuses the record as invalid, even alone.
    InvalidRecord,
}

impl Reason {
    /// All that there are.
    pub const ALL: [Self; 6] = [
        Self::Undecodable,
        Self::UnknownType,
        Self::ImpossibleTransition,
        Self::Refused,
        Self::TooLarge,
        Self::InvalidRecord,
    ];

    /// As it stands in headers and labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Undecodable => "undecodable",
            Self::UnknownType => "unknown_type",
            Self::ImpossibleTransition => "impossible_transition",
            Self::Refused => "refused",
            Self::TooLarge => "too_large",
            Self::InvalidRecord => "invalid_record",
        }
    }
}

/// What names of dead-letter topics end with.
pub(crate) const SUFFIX: &str = ".dlq";

/// Name of the topic for what was given up of `topic`.
#[must_use]
pub fn topic_for(topic: &str) -> String {
    format!("{topic}{SUFFIX}")
}

/// The dead letter of `record`: key, value and headers as they were, plus why `group` gave up.
pub(crate) fn of(record: &Record, group: &str, reason: Reason, error: &str, now: OffsetDateTime) -> OutboxRecord {
    let text = |value: &str| Some(value.as_bytes().to_vec());
    let mut pairs = record.headers.clone();
    pairs.extend([
        (headers::DLQ_REASON.to_owned(), text(reason.as_str())),
        (headers::DLQ_ERROR.to_owned(), text(error)),
        (headers::DLQ_TOPIC.to_owned(), text(&record.topic)),
        (headers::DLQ_PARTITION.to_owned(), text(&record.partition.to_string())),
        (headers::DLQ_OFFSET.to_owned(), text(&record.offset.to_string())),
        (headers::DLQ_GROUP.to_owned(), text(group)),
        (headers::DLQ_TIME.to_owned(), text(&rfc3339(now))),
    ]);
    OutboxRecord {
        topic: topic_for(&record.topic),
        key: record.key.clone(),
        value: record.value.clone(),
        event_id: record.event_id().unwrap_or_else(Uuid::now_v7),
        event_type: record.event_type().unwrap_or_default().replace('\0', ""),
        event_time: now,
        trace: TraceHeaders::default(),
        headers: Some(pairs),
    }
}

pub(crate) fn rfc3339(time: OffsetDateTime) -> String {
    time.format(&Rfc3339).expect("a time of this era can be written as RFC 3339")
}
