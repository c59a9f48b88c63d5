//! The relay that one usually finds where it was done well: a transaction that locks the next hundred rows, sends all of
//! them, awaits all acknowledgements, marks them with one UPDATE.

use std::time::Duration;

use anyhow::{Context as _, Result};
use proto::{headers, topics};
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use sqlx::types::time::OffsetDateTime;
use sqlx::{Connection as _, Executor as _, PgConnection};
use time::format_description::well_known::Rfc3339;
use uuid::Uuid;

/// Between two looks at a table that was empty.
pub(super) const POLL: Duration = Duration::from_millis(10);

/// One event.
#[derive(Debug, sqlx::FromRow)]
struct Event {
    id: i64,
    topic: String,
    key: Option<Vec<u8>>,
    payload: Option<Vec<u8>>,
    event_id: Uuid,
    event_type: String,
    event_time: OffsetDateTime,
    traceparent: Option<String>,
}

/// Publishes for good; `ready` is called before the first look.
pub(super) async fn publish(database: &str, servers: &str, ready: impl FnOnce()) -> Result<()> {
    let mut connection = PgConnection::connect(database).await?;
    let producer = producer(servers)?;
    ready();
    loop {
        if round(&mut connection, &producer).await? == 0 {
            tokio::time::sleep(POLL).await;
        }
    }
}

/// As ours has it.
fn producer(servers: &str) -> Result<FutureProducer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("enable.idempotence", "true").set("acks", "all");
    config.set("linger.ms", "2").set("compression.type", "lz4").set("partitioner", "murmur2_random");
    Ok(config.create()?)
}

async fn round(connection: &mut PgConnection, producer: &FutureProducer) -> Result<usize> {
    connection.execute("begin").await?;
    let next = sqlx::query_as(
        "select id, topic, key, payload, event_id, event_type, event_time, traceparent from usual_outbox
         where published_at is null order by id limit 100 for update skip locked",
    );
    let events: Vec<Event> = next.fetch_all(&mut *connection).await?;
    let mut deliveries = Vec::with_capacity(events.len());
    for event in &events {
        let sent = producer.send_result(event.record()?).map_err(|(error, _)| error);
        deliveries.push(sent.context("the producer takes no record")?);
    }
    for delivery in deliveries {
        delivery.await?.map_err(|(error, _)| error).context("a record was not acknowledged")?;
    }
    if !events.is_empty() {
        let published: Vec<i64> = events.iter().map(|event| event.id).collect();
        let mark = sqlx::query("update usual_outbox set published_at = now() where id = any($1)").bind(published);
        mark.execute(&mut *connection).await?;
    }
    connection.execute("commit").await?;
    Ok(events.len())
}

impl Event {
    /// With the same headers as ours has.
    fn record(&self) -> Result<FutureRecord<'_, [u8], [u8]>> {
        let time = self.event_time.format(&Rfc3339)?;
        let id = self.event_id.hyphenated().to_string();
        let subject = String::from_utf8_lossy(self.key.as_deref().unwrap_or_default());
        let pairs = [
            (headers::CE_SPECVERSION, Some(headers::SPEC_VERSION)),
            (headers::CE_ID, Some(&id)),
            (headers::CE_TYPE, Some(&self.event_type)),
            (headers::CE_SOURCE, Some(topics::ORDER_SERVICE)),
            (headers::CE_SUBJECT, Some(&subject)),
            (headers::CE_TIME, Some(&time)),
            (headers::CONTENT_TYPE, Some(headers::PROTOBUF)),
            (headers::TRACEPARENT, self.traceparent.as_deref()),
        ];
        let mut all = OwnedHeaders::new_with_capacity(pairs.len());
        for (key, value) in pairs {
            all = all.insert(Header { key, value });
        }
        let mut record = FutureRecord::to(&self.topic).headers(all);
        record.key = self.key.as_deref();
        record.payload = self.payload.as_deref();
        Ok(record)
    }
}
