//! The outbox: events written in the transaction that causes them (I4), published later by the [relay](crate::relay).
//!
//! One row for each transaction: what was committed together is written, read and deleted together.

use observability::propagation::TraceHeaders;
use postgres::Transaction;
use time::OffsetDateTime;
use uuid::Uuid;

use crate::headers::{self, HeaderPairs};

/// An event, or a dead letter, to be published once the transaction that appends it has committed.
#[derive(Clone, Debug)]
pub struct OutboxRecord {
    /// Topic to publish to.
    pub topic: String,
    /// Key of the record: the order id as text.
    pub key: Option<Vec<u8>>,
    /// The encoded message.
    pub value: Option<Vec<u8>>,
    /// UUIDv7, the same on every redelivery.
    pub event_id: Uuid,
    /// Full name of the message.
    pub event_type: String,
    /// When it happened.
    pub event_time: OffsetDateTime,
    /// Trace context of what caused it.
    pub trace: TraceHeaders,
    /// Instead of CloudEvents headers made from the fields above: a dead letter's own.
    pub(crate) headers: Option<HeaderPairs>,
}

impl OutboxRecord {
    /// An event about `order_id`.
    #[must_use]
    pub fn event(
        topic: &str,
        order_id: Uuid,
        message: &impl prost::Name,
        event_time: OffsetDateTime,
        trace: TraceHeaders,
    ) -> Self {
        Self {
            topic: topic.to_owned(),
            key: Some(order_id.hyphenated().to_string().into_bytes()),
            value: Some(message.encode_to_vec()),
            event_id: Uuid::now_v7(),
            event_type: full_name(message),
            event_time,
            trace,
            headers: None,
        }
    }
}

fn full_name<M: prost::Name>(_: &M) -> String {
    M::full_name()
}

/// Appends `records` in their order, as one row. Must come after the row locks of what they tell of (R1): the row's id is
/// drawn here, and per order ids have to be drawn in the order of its versions.
///
/// # Errors
/// Those of the database; the transaction is then to be rolled back.
pub async fn append(transaction: &mut Transaction, records: &[OutboxRecord]) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let bytes: usize = records.iter().map(|record| record.value.as_ref().map_or(0, Vec::len)).sum();
    let topics: Vec<&str> = records.iter().map(|record| record.topic.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = records.iter().map(|record| record.key.as_deref()).collect();
    let payloads: Vec<Option<&[u8]>> = records.iter().map(|record| record.value.as_deref()).collect();
    let ids: Vec<Uuid> = records.iter().map(|record| record.event_id).collect();
    let types: Vec<&str> = records.iter().map(|record| record.event_type.as_str()).collect();
    let times: Vec<OffsetDateTime> = records.iter().map(|record| record.event_time).collect();
    let traceparents: Vec<Option<&str>> = records.iter().map(|record| record.trace.traceparent.as_deref()).collect();
    let tracestates: Vec<Option<&str>> = records.iter().map(|record| record.trace.tracestate.as_deref()).collect();
    let baggages: Vec<Option<&str>> = records.iter().map(|record| record.trace.baggage.as_deref()).collect();
    let headers: Vec<Option<Vec<u8>>> =
        records.iter().map(|record| record.headers.as_ref().map(headers::encode)).collect();
    sqlx::query!(
        "insert into outbox
             (events, bytes, topics, keys, payloads, event_ids, event_types, event_times, traceparents, tracestates,
              baggages, headers)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12)",
        i32::try_from(records.len()).expect("what a transaction tells of fits in memory"),
        i64::try_from(bytes).expect("what a transaction tells of fits in memory"),
        &topics as &[&str],
        &keys as &[Option<&[u8]>],
        &payloads as &[Option<&[u8]>],
        &ids,
        &types as &[&str],
        &times,
        &traceparents as &[Option<&str>],
        &tracestates as &[Option<&str>],
        &baggages as &[Option<&str>],
        &headers as &[Option<Vec<u8>>],
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
