use futures::future::join_all;
use observability::propagation::TraceHeaders;
use observability::{names, spans};
use opentelemetry::Context;
use postgres::Database;
use proto::headers;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::producer::{DeliveryFuture, FutureProducer, FutureRecord};
use sqlx::types::time::OffsetDateTime;
use uuid::Uuid;

use crate::headers::HeaderPairs;
use crate::{KafkaSettings, dead_letter};

/// Reads a batch, sends it, deletes what was acknowledged.
pub(super) struct Publisher {
    producer: FutureProducer,
    database: Database,
    source: &'static str,
    batch: i64,
}

/// What became of a round.
pub(super) enum Published {
    /// Everything that was read is out; `full` when there may be more.
    All { full: bool },
    /// Some rows are still there, to be tried again.
    NotAll,
    /// The producer failed for good: a new one is needed.
    ProducerBroken,
}

struct Row {
    id: i64,
    topic: String,
    key: Option<Vec<u8>>,
    value: Option<Vec<u8>>,
    event_id: Uuid,
    event_type: String,
    event_time: OffsetDateTime,
    traceparent: Option<String>,
    tracestate: Option<String>,
    baggage: Option<String>,
    headers: Option<Vec<u8>>,
}

enum Fate {
    Acknowledged,
    TooLarge,
    Later,
    ProducerBroken,
}

impl Publisher {
    pub(super) fn new(settings: &KafkaSettings, source: &'static str, database: Database) -> Result<Self, KafkaError> {
        let producer = settings
            .client(source)
            .set("enable.idempotence", "true")
            .set("acks", "all")
            // A record waits for its broker as long as it takes: only leadership or the process ends that (R2).
            .set("message.timeout.ms", "0")
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            // As Java clients place keys, so that an order's events are in one partition whoever wrote them.
            .set("partitioner", "murmur2_random")
            .create()?;
        Ok(Self { producer, database, source, batch: settings.relay_batch })
    }

    pub(super) async fn round(&self) -> Published {
        let rows = match self.read().await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(error = %error, "the outbox can't be read");
                return Published::NotAll;
            }
        };
        let full = i64::try_from(rows.len()).is_ok_and(|count| count == self.batch);
        // All are handed over before the first acknowledgement is awaited: one round trip for the batch.
        let mut sent = Vec::with_capacity(rows.len());
        for row in &rows {
            sent.push(self.send(row).await);
        }
        let fates = join_all(sent.into_iter().map(|(span, sending)| settle(span, sending))).await;

        let (mut acknowledged, mut undeliverable, mut broken) = (Vec::new(), Vec::new(), false);
        for (row, fate) in rows.iter().zip(fates) {
            let outcome = if matches!(fate, Fate::Acknowledged) { "ok" } else { "error" };
            metrics::counter!(
                names::MESSAGING_SENT_MESSAGES,
                "messaging_destination_name" => row.topic.clone(),
                "outcome" => outcome,
            )
            .increment(1);
            match fate {
                Fate::Acknowledged => acknowledged.push(row.id),
                Fate::TooLarge => undeliverable.push(row),
                Fate::Later => {}
                Fate::ProducerBroken => broken = true,
            }
        }
        let gone = acknowledged.len() + undeliverable.len();
        if let Err(error) = self.delete(&acknowledged).await {
            // They are out; the next round sends them again, which consumers bear.
            tracing::warn!(error = %error, "published rows can't be deleted");
            return Published::NotAll;
        }
        for row in undeliverable {
            if let Err(error) = self.give_up(row).await {
                tracing::warn!(error = %error, "a record too large for its topic can't be moved");
                return Published::NotAll;
            }
        }
        match (broken, gone == rows.len()) {
            (true, _) => Published::ProducerBroken,
            (false, true) => Published::All { full },
            (false, false) => Published::NotAll,
        }
    }

    async fn read(&self) -> Result<Vec<Row>, sqlx::Error> {
        sqlx::query_as!(
            Row,
            "select id, topic, key, value, event_id, event_type, event_time, traceparent, tracestate, baggage, headers
             from outbox order by id limit $1",
            self.batch,
        )
        .fetch_all(self.database.writes())
        .await
    }

    async fn send(&self, row: &Row) -> (Context, Result<DeliveryFuture, KafkaError>) {
        let caused_by = TraceHeaders {
            traceparent: row.traceparent.clone(),
            tracestate: row.tracestate.clone(),
            baggage: row.baggage.clone(),
        };
        let event_id = row.event_id.hyphenated().to_string();
        let key = row.key.as_deref().map_or_else(String::new, |key| String::from_utf8_lossy(key).into_owned());
        let span = spans::send(&row.topic, &event_id, &key, &caused_by.to_context());
        let headers = match &row.headers {
            Some(encoded) => crate::headers::decode(encoded).unwrap_or_default(),
            None => cloud_event(self.source, row, &event_id, &key, &TraceHeaders::of(&span)),
        };
        let headers = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |list, (name, value)| {
            list.insert(Header { key: name, value: value.as_deref() })
        });
        let mut record = FutureRecord::to(&row.topic).headers(headers);
        record.key = row.key.as_deref();
        record.payload = row.value.as_deref();
        loop {
            match self.producer.send_result(record) {
                Ok(sending) => return (span, Ok(sending)),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
                }
                Err((error, _)) => return (span, Err(error)),
            }
        }
    }

    async fn delete(&self, ids: &[i64]) -> Result<(), sqlx::Error> {
        if !ids.is_empty() {
            sqlx::query!("delete from outbox where id = any($1)", ids).execute(self.database.writes()).await?;
        }
        Ok(())
    }

    /// Replaces a record that its topic will never take by a dead letter that says so, without the value. One statement.
    async fn give_up(&self, row: &Row) -> Result<(), sqlx::Error> {
        let size = row.value.as_ref().map_or(0, Vec::len).to_string();
        tracing::error!(topic = row.topic, event.id = %row.event_id, bytes = size, "record too large for its topic");
        let mut pairs: HeaderPairs = match &row.headers {
            Some(encoded) => crate::headers::decode(encoded).unwrap_or_default(),
            None => cloud_event(self.source, row, &row.event_id.to_string(), "", &TraceHeaders::default()),
        };
        let reason = dead_letter::Reason::TooLarge;
        let text = |value: &str| Some(value.as_bytes().to_vec());
        pairs.push((headers::DLQ_REASON.to_owned(), text(reason.as_str())));
        pairs.push((headers::DLQ_ERROR.to_owned(), text("the broker refuses the record as too large")));
        pairs.push((headers::DLQ_TOPIC.to_owned(), text(&row.topic)));
        pairs.push((headers::DLQ_TIME.to_owned(), text(&dead_letter::rfc3339(OffsetDateTime::now_utc()))));
        pairs.push((headers::DLQ_TRUNCATED.to_owned(), text(&size)));
        let topic = if row.topic.ends_with(".dlq") { row.topic.clone() } else { dead_letter::topic_for(&row.topic) };
        sqlx::query!(
            "update outbox set topic = $2, value = null, headers = $3 where id = $1",
            row.id,
            topic,
            crate::headers::encode(&pairs),
        )
        .execute(self.database.writes())
        .await?;
        metrics::counter!(
            names::DEAD_LETTERS,
            "messaging_destination_name" => row.topic.clone(),
            "reason" => reason.as_str(),
        )
        .increment(1);
        Ok(())
    }
}

/// The CloudEvents headers of an event, in binary mode, and its trace context.
fn cloud_event(source: &str, row: &Row, event_id: &str, subject: &str, trace: &TraceHeaders) -> HeaderPairs {
    let time = dead_letter::rfc3339(row.event_time);
    let mut pairs: HeaderPairs = [
        (headers::CE_SPECVERSION, headers::SPEC_VERSION),
        (headers::CE_ID, event_id),
        (headers::CE_TYPE, row.event_type.as_str()),
        (headers::CE_SOURCE, source),
        (headers::CE_SUBJECT, subject),
        (headers::CE_TIME, time.as_str()),
        (headers::CONTENT_TYPE, headers::PROTOBUF),
    ]
    .into_iter()
    .map(|(name, value)| (name.to_owned(), Some(value.as_bytes().to_vec())))
    .collect();
    for (name, value) in [
        (headers::TRACEPARENT, &trace.traceparent),
        (headers::TRACESTATE, &trace.tracestate),
        (headers::BAGGAGE, &trace.baggage),
    ] {
        if let Some(value) = value {
            pairs.push((name.to_owned(), Some(value.clone().into_bytes())));
        }
    }
    pairs
}

/// Awaits the acknowledgement of one record and ends its span.
async fn settle(span: Context, sending: Result<DeliveryFuture, KafkaError>) -> Fate {
    let error = match sending {
        Err(error) => Some(error),
        Ok(delivery) => match delivery.await {
            Ok(Ok(_)) => None,
            Ok(Err((error, _))) => Some(error),
            // The producer was dropped with the record inside.
            Err(_) => Some(KafkaError::Canceled),
        },
    };
    if let Some(error) = &error {
        spans::fail(&span, error.to_string());
    }
    spans::end(&span);
    match error {
        None => Fate::Acknowledged,
        Some(error) => fate(&error),
    }
}

fn fate(error: &KafkaError) -> Fate {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge | RDKafkaErrorCode::InvalidRecord) => Fate::TooLarge,
        Some(RDKafkaErrorCode::Fatal | RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => {
            tracing::warn!(error = %error, "the producer is given up");
            Fate::ProducerBroken
        }
        Some(_) | None => {
            tracing::warn!(error = %error, "a record could not be sent; it stays in the outbox");
            Fate::Later
        }
    }
}
