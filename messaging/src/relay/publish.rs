use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use observability::propagation::TraceHeaders;
use observability::{names, spans};
use opentelemetry::Context;
use postgres::{Database, contained};
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{DeliveryFuture, FutureProducer, Producer as _, PurgeConfig};
use tokio::time::Instant;

use super::message::Row;
use crate::aside::Aside;
use crate::dead_letter::{self, Reason};
use crate::{KafkaSettings, headers};

/// The largest record that is sent: a dead letter is its record plus the headers that say why.
const MOST_BYTES: &str = "4194304";
/// Bytes of values that are read at once.
const BYTES_AT_ONCE: i64 = 8 * 1_024 * 1_024;
/// Batches whose acknowledgements may be outstanding, when a partition does not answer.
const BATCHES_IN_FLIGHT: usize = 20;
/// How long a round waits for the last acknowledgements before the next batch goes out.
const ROUND: Duration = Duration::from_millis(250);
/// Between two looks at whether the producer still works.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to enqueue into a full producer.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Rows that a broker has refused as too large or invalid, and why. It says so of whole batches, so that they are tried
/// again alone before they are given up.
pub(super) type Suspects = BTreeMap<i64, Reason>;

/// Reads batches, sends them, deletes what was acknowledged.
pub(super) struct Publisher {
    producer: Aside<FutureProducer>,
    database: Database,
    source: &'static str,
    batch: i64,
    in_flight: BTreeSet<i64>,
    deliveries: FuturesUnordered<BoxFuture<'static, (Row, Fate)>>,
}

/// What became of a round.
pub(super) enum Round {
    /// There was nothing to publish.
    NothingToDo,
    /// Everything that there was is out.
    AllDone,
    /// There may be more.
    MoreToDo,
    /// It went wrong; the same producer may try again.
    Failed,
    /// The producer failed for good: a new one is needed.
    ProducerBroken,
}

/// What became of a row.
enum Fate {
    Acknowledged,
    Refused(Reason),
    Later,
}

impl Publisher {
    pub(super) fn new(settings: &KafkaSettings, source: &'static str, database: Database) -> Result<Self, KafkaError> {
        let producer: FutureProducer = settings
            .client(source)
            .set("enable.idempotence", "true")
            // An error that would leave a gap stops the producer instead: first occurrences stay in order (R2).
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            // A record waits for its broker as long as it takes: only leadership or the process ends that (R2).
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", MOST_BYTES)
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            // As Java clients place keys, so that an order's events are in one partition whoever wrote them.
            .set("partitioner", "murmur2_random")
            .create()?;
        Ok(Self {
            producer: Aside::new(producer),
            database,
            source,
            batch: settings.relay_batch,
            in_flight: BTreeSet::new(),
            deliveries: FuturesUnordered::new(),
        })
    }

    pub(super) async fn round(&mut self, suspects: &mut Suspects) -> Round {
        // Suspects go alone: in a batch with others nobody could say whose fault it was.
        let alone = !suspects.is_empty();
        if alone && !self.in_flight.is_empty() {
            return self.settle(suspects).await;
        }
        let count = if alone { 1 } else { self.batch };
        let rows = match self.read(count).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(error = %error, "the outbox can't be read");
                return Round::Failed;
            }
        };
        if rows.is_empty() && self.in_flight.is_empty() {
            return Round::NothingToDo;
        }
        let were_all = i64::try_from(rows.len()).is_ok_and(|read| read < count);
        for row in rows {
            if !self.send(row).await {
                break;
            }
        }
        let settled = self.settle(suspects).await;
        match settled {
            Round::MoreToDo if were_all && self.in_flight.is_empty() && suspects.is_empty() => Round::AllDone,
            other => other,
        }
    }

    /// Collects acknowledgements until there are no more to come, or the round is over, and writes down what they say.
    async fn settle(&mut self, suspects: &mut Suspects) -> Round {
        let end = Instant::now() + ROUND;
        let mut settled = Vec::new();
        let mut looks = tokio::time::interval(LOOK);
        let mut is_broken = false;
        loop {
            tokio::select! {
                delivered = self.deliveries.next() => match delivered {
                    Some(delivered) => settled.push(delivered),
                    None => break,
                },
                // A producer that failed for good never answers for what it has (there is no time-out to wait for).
                _ = looks.tick() => if self.producer.client().fatal_error().is_some() {
                    is_broken = true;
                    self.producer.purge(PurgeConfig::default().queue().inflight());
                },
                () = tokio::time::sleep_until(end), if !is_broken => break,
            }
        }
        is_broken |= self.producer.client().fatal_error().is_some();
        let written = self.write_down(settled, suspects).await;
        match written {
            Err(error) => {
                // What was acknowledged is out; sent again, consumers bear it.
                tracing::warn!(error = %error, "what became of published rows can't be written down");
                Round::Failed
            }
            Ok(()) if is_broken => Round::ProducerBroken,
            Ok(()) => Round::MoreToDo,
        }
    }

    async fn write_down(&mut self, settled: Vec<(Row, Fate)>, suspects: &mut Suspects) -> Result<(), sqlx::Error> {
        let mut gone = Vec::new();
        for (row, fate) in settled {
            self.in_flight.remove(&row.id);
            count(&row.topic, &fate);
            match fate {
                Fate::Acknowledged => {
                    suspects.remove(&row.id);
                    gone.push(row.id);
                }
                Fate::Refused(reason) if suspects.insert(row.id, reason).is_some() => {
                    suspects.remove(&row.id);
                    self.give_up(&row, reason).await?;
                }
                Fate::Refused(_) | Fate::Later => {}
            }
        }
        if gone.is_empty() {
            return Ok(());
        }
        // Not waited for on disk: lost in a crash, the rows are sent again, which consumers bear; waited for, it would
        // cost the writers a good part of the disk's fsyncs.
        let delete = sqlx::query!(
            "with unsynced as materialized (select set_config('synchronous_commit', 'off', true))
             delete from outbox using unsynced where id = any($1)",
            &gone,
        );
        contained(delete.execute(self.database.writes())).await.map(|_| ())
    }

    /// The next rows that are not in flight: by id, bounded in number and bytes, but at least one.
    async fn read(&mut self, count: i64) -> Result<Vec<Row>, sqlx::Error> {
        let full = usize::try_from(self.batch).unwrap_or(usize::MAX).saturating_mul(BATCHES_IN_FLIGHT);
        if self.in_flight.len() >= full {
            return Ok(Vec::new());
        }
        let in_flight: Vec<i64> = self.in_flight.iter().copied().collect();
        let read = sqlx::query_as!(
            Row,
            r#"select id as "id!", topic as "topic!", key, value, event_id as "event_id!", event_type as "event_type!",
                      event_time as "event_time!", traceparent, tracestate, baggage, headers
               from (
                   select head.*, sum(coalesce(octet_length(value), 0)) over (order by id) as bytes,
                          row_number() over (order by id) as position
                   from (
                       -- A hashed subplan: <> ALL would compare each row with every id in flight.
                       select * from outbox where id not in (select unnest($3::bigint[])) order by id limit $1
                   ) as head
               ) as counted
               where bytes <= $2 or position = 1
               order by id"#,
            count,
            BYTES_AT_ONCE,
            &in_flight,
        );
        contained(read.fetch_all(self.database.writes())).await
    }

    /// Hands a row to the producer, in its `send` span. False: nothing may be sent behind it, or its order would change.
    async fn send(&mut self, row: Row) -> bool {
        let span = spans::send(&row.topic, &row.event_id(), &row.subject(), &row.cause().to_context());
        let trace = TraceHeaders::of(&span);
        let mut record = row.record(self.source, &trace);
        let sending = loop {
            match self.producer.send_result(record) {
                Ok(sending) => break Ok(sending),
                Err((KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull), refused)) => {
                    record = refused;
                    tokio::time::sleep(QUEUE_FULL_PAUSE).await;
                }
                Err((error, _)) => break Err(error),
            }
        };
        let in_order = sending.is_ok();
        self.in_flight.insert(row.id);
        self.deliveries.push(Box::pin(async move {
            let fate = settle(span, sending).await;
            (row, fate)
        }));
        in_order
    }

    /// Replaces a record that its topic will never take by a dead letter without the value. One statement; a dead letter
    /// that is refused once more loses everything but the reason.
    async fn give_up(&mut self, row: &Row, reason: Reason) -> Result<(), sqlx::Error> {
        tracing::error!(
            messaging.destination.name = row.topic,
            messaging.message.id = %row.event_id,
            bytes = row.value.as_ref().map_or(0, Vec::len),
            dlq.reason = reason.as_str(),
            "a record is refused by the broker and goes to the dead-letter topic without its value"
        );
        let topic = if row.topic.ends_with(dead_letter::SUFFIX) {
            row.topic.clone()
        } else {
            dead_letter::topic_for(&row.topic)
        };
        let key = row.key.as_deref().filter(|_| row.value.is_some());
        let update = sqlx::query!(
            "update outbox set topic = $2, key = $3, value = null, headers = $4 where id = $1",
            row.id,
            topic,
            key,
            headers::encode(&row.headers_of_dead_letter(self.source, reason)),
        );
        contained(update.execute(self.database.writes())).await?;
        metrics::counter!(
            names::DEAD_LETTERS,
            "messaging_destination_name" => row.topic.clone(),
            "reason" => reason.as_str(),
        )
        .increment(1);
        Ok(())
    }
}

fn count(topic: &str, fate: &Fate) {
    let outcome = match fate {
        Fate::Acknowledged => "ok",
        Fate::Refused(_) | Fate::Later => "error",
    };
    metrics::counter!(
        names::MESSAGING_SENT_MESSAGES,
        "messaging_destination_name" => topic.to_owned(),
        "outcome" => outcome,
    )
    .increment(1);
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
    error.map_or(Fate::Acknowledged, |error| fate(&error))
}

/// Only "too large" and "invalid" are about the record; everything else passes (R4).
fn fate(error: &KafkaError) -> Fate {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Fate::Refused(Reason::TooLarge),
        Some(RDKafkaErrorCode::InvalidRecord) => Fate::Refused(Reason::InvalidRecord),
        Some(_) | None => {
            tracing::warn!(error = %error, "a record could not be sent; it stays in the outbox");
            Fate::Later
        }
    }
}
