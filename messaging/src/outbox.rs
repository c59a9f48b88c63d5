//! The outbox: events written in the transaction that causes them (I4), published later by the [relay](crate::relay).

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

/// Appends `records` in their order. Must come after the row locks of what they tell of (R1): ids are drawn here, and per
/// order they have to be drawn in the order of its versions.
///
/// # Errors
/// Those of the database; the transaction is then to be rolled back.
pub async fn append(transaction: &mut Transaction, records: &[OutboxRecord]) -> Result<(), sqlx::Error> {
    if records.is_empty() {
        return Ok(());
    }
    let topics: Vec<&str> = records.iter().map(|record| record.topic.as_str()).collect();
    let keys: Vec<Option<&[u8]>> = records.iter().map(|record| record.key.as_deref()).collect();
    let values: Vec<Option<&[u8]>> = records.iter().map(|record| record.value.as_deref()).collect();
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
             (topic, key, value, event_id, event_type, event_time, traceparent, tracestate, baggage, headers)
         select topic, key, value, event_id, event_type, event_time, traceparent, tracestate, baggage, headers
         from unnest($1::text[], $2::bytea[], $3::bytea[], $4::uuid[], $5::text[], $6::timestamptz[],
                     $7::text[], $8::text[], $9::text[], $10::bytea[]) with ordinality
              as given (topic, key, value, event_id, event_type, event_time,
                        traceparent, tracestate, baggage, headers, position)
         order by position",
        &topics as &[&str],
        &keys as &[Option<&[u8]>],
        &values as &[Option<&[u8]>],
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
