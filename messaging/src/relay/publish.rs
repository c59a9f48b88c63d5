use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use observability::propagation::TraceHeaders;
use observability::spans;
use postgres::Database;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::{FutureProducer, Producer as _, PurgeConfig};
use runtime::faults::{self, Mistake, Point};
use tokio::time::Instant;

use super::delivery::{Fate, acknowledged, count};
use super::low_water::{LowWater, ShownMark};
use super::message::{Message, Row};
use super::table::Table;
use crate::aside::Aside;
use crate::{KafkaSettings, topics};

/// Batches whose acknowledgements may be outstanding, when a partition does not answer.
const BATCHES_IN_FLIGHT: usize = 20;
/// How long a round waits for the last acknowledgements before the next batch goes out.
const ROUND: Duration = Duration::from_millis(250);
/// Between two looks at whether the producer still works.
const LOOK: Duration = Duration::from_secs(1);
/// Between two tries to enqueue into a full producer.
const QUEUE_FULL_PAUSE: Duration = Duration::from_millis(5);

/// Rows with an event that a broker has refused as too large or invalid. It says so of whole batches, so that their
/// events are tried again alone before any is given up.
pub(super) type Suspects = BTreeSet<i64>;

/// Reads rows, sends their events, deletes the rows of which all were acknowledged.
pub(super) struct Publisher {
    producer: Aside<FutureProducer>,
    table: Table,
    low_water: LowWater,
    source: &'static str,
    batch: i64,
    in_flight: BTreeMap<i64, Sent>,
    /// A topic was not there: it is made before the next producer is.
    lacks_topic: bool,
    deliveries: FuturesUnordered<BoxFuture<'static, Delivered>>,
}

/// A row whose events were sent.
#[derive(Clone, Copy, Debug)]
struct Sent {
    unanswered: usize,
    /// None has failed so far.
    all_acknowledged: bool,
}

/// The answer to one event.
struct Delivered {
    row: i64,
    topic: String,
    fate: Fate,
}

/// What became of a round.
pub(super) enum Round {
    /// Everything that there was is out: so many events, or none.
    AllDone {
        /// In this round.
        published: usize,
    },
    /// There may be more.
    MoreToDo,
    /// It went wrong; the same producer may try again.
    Failed,
    /// The producer failed for good, or its topics are gone: a new one is needed, after another look at the topics.
    ProducerBroken,
}

impl Publisher {
    pub(super) fn new(
        settings: &KafkaSettings,
        source: &'static str,
        database: Database,
        mark: ShownMark,
    ) -> Result<Self, KafkaError> {
        let producer: FutureProducer = settings
            .client(source)
            .set("enable.idempotence", "true")
            // An error that would leave a gap stops the producer instead: first occurrences stay in order (R2).
            .set("enable.gapless.guarantee", "true")
            .set("acks", "all")
            // A record waits for its broker as long as it takes: only leadership or the process ends that (R2).
            .set("message.timeout.ms", "0")
            .set("message.max.bytes", topics::DEAD_LETTER_MAX_BYTES)
            .set("linger.ms", "2")
            .set("compression.type", "lz4")
            // As Java clients place keys, so that an order's events are in one partition whoever wrote them.
            .set("partitioner", "murmur2_random")
            .create()?;
        Ok(Self {
            producer: Aside::new(producer),
            table: Table::new(database, source),
            low_water: LowWater::new(mark),
            source,
            batch: settings.relay_batch,
            in_flight: BTreeMap::new(),
            lacks_topic: false,
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
        let mut rows = match self.read(count).await {
            Ok(rows) => rows,
            Err(error) => {
                tracing::warn!(error = %error, "the outbox can't be read");
                return Round::Failed;
            }
        };
        if alone {
            let Some(row) = rows.pop() else {
                suspects.clear();
                return Round::AllDone { published: 0 };
            };
            return self.publish_alone(row, suspects).await;
        }
        if rows.is_empty() && self.in_flight.is_empty() {
            return Round::AllDone { published: 0 };
        }
        let were_all = rows
            .first()
            .is_none_or(|row| row.found < count && usize::try_from(row.found).is_ok_and(|n| n == rows.len()));
        let published = rows.iter().map(|row| row.event_ids.len()).sum();
        for row in rows {
            if !self.send(row).await {
                break;
            }
        }
        match self.settle(suspects).await {
            Round::MoreToDo if were_all && self.in_flight.is_empty() && suspects.is_empty() => {
                Round::AllDone { published }
            }
            other => other,
        }
    }

    /// Sends the events of one row, each alone: what a broker refuses now is at fault itself.
    async fn publish_alone(&mut self, row: Row, suspects: &mut Suspects) -> Round {
        let row_id = row.id;
        for (place, message) in row.into_messages().into_iter().enumerate() {
            self.send_one(row_id, &message).await;
            let Some(Delivered { topic, fate, .. }) = self.answer().await else { return Round::Failed };
            count(&topic, fate);
            let failed = match fate {
                Fate::Acknowledged => continue,
                Fate::Refused(reason) => self.table.give_up(row_id, place, &message, reason).await.is_err(),
                Fate::Later => true,
                Fate::NoTopic => {
                    self.lacks_topic = true;
                    true
                }
            };
            // The row is read again: without what was given up, or as it was. A producer takes a refusal for a gap in what it
            // has promised to keep in order, and is of no use afterwards.
            return match failed {
                _ if self.is_broken() => Round::ProducerBroken,
                true => Round::Failed,
                false => Round::MoreToDo,
            };
        }
        suspects.remove(&row_id);
        match self.table.delete(&[row_id]).await {
            Ok(()) => Round::MoreToDo,
            Err(error) => {
                tracing::warn!(error = %error, "a published row can't be deleted");
                Round::Failed
            }
        }
    }

    /// Collects acknowledgements until there are no more to come, or the round is over, and writes down what they say.
    async fn settle(&mut self, suspects: &mut Suspects) -> Round {
        let end = Instant::now() + ROUND;
        let mut settled = Vec::new();
        loop {
            let is_broken = self.is_broken();
            tokio::select! {
                answer = self.answer() => match answer {
                    Some(delivered) => settled.push(delivered),
                    None => break,
                },
                () = tokio::time::sleep_until(end), if !is_broken => break,
            }
        }
        match self.write_down(settled, suspects).await {
            Err(error) => {
                // What was acknowledged is out; sent again, consumers bear it.
                tracing::warn!(error = %error, "what became of published rows can't be written down");
                Round::Failed
            }
            Ok(()) if self.is_broken() => Round::ProducerBroken,
            Ok(()) => Round::MoreToDo,
        }
    }

    /// The next answer, if one is to come. Cancel-safe.
    async fn answer(&mut self) -> Option<Delivered> {
        let mut looks = tokio::time::interval(LOOK);
        loop {
            tokio::select! {
                biased;
                delivered = self.deliveries.next() => return delivered,
                // A producer that failed for good never answers for what it has (there is no time-out to wait for).
                _ = looks.tick() => if self.is_broken() {
                    self.producer.purge(PurgeConfig::default().queue().inflight());
                },
            }
        }
    }

    /// Whether the producer is of no use any more.
    fn is_broken(&self) -> bool {
        self.lacks_topic || self.producer.client().fatal_error().is_some()
    }

    async fn write_down(&mut self, settled: Vec<Delivered>, suspects: &mut Suspects) -> Result<(), sqlx::Error> {
        let mut done = Vec::new();
        for Delivered { row, topic, fate } in settled {
            count(&topic, fate);
            match fate {
                Fate::Refused(_) => {
                    suspects.insert(row);
                }
                Fate::NoTopic => self.lacks_topic = true,
                Fate::Acknowledged | Fate::Later => {}
            }
            let Some(sent) = self.in_flight.get_mut(&row) else { continue };
            sent.unanswered -= 1;
            sent.all_acknowledged &= matches!(fate, Fate::Acknowledged);
            if sent.unanswered == 0 {
                // A row of which something is left is read again, and sent again as a whole; consumers bear it.
                if sent.all_acknowledged {
                    done.push(row);
                }
                self.in_flight.remove(&row);
            }
        }
        if done.is_empty() {
            return Ok(());
        }
        faults::reached(Point::RelayAcknowledged);
        self.table.delete(&done).await
    }

    async fn read(&mut self, count: i64) -> Result<Vec<Row>, sqlx::Error> {
        let full = usize::try_from(self.batch).unwrap_or(usize::MAX).saturating_mul(BATCHES_IN_FLIGHT);
        if self.in_flight.values().map(|sent| sent.unanswered).sum::<usize>() >= full {
            return Ok(Vec::new());
        }
        let in_flight: Vec<i64> = self.in_flight.keys().copied().collect();
        let low = self.low_water.begin(&self.table).await?;
        let rows = self.table.read(low, count, &in_flight).await?;
        self.low_water.saw(&rows);
        if faults::makes(Mistake::MarkBeforePublish) && !rows.is_empty() {
            self.table.delete(&rows.iter().map(|row| row.id).collect::<Vec<_>>()).await?;
            faults::reached(Point::HalfDone);
        }
        Ok(rows)
    }

    /// Hands the events of a row to the producer. False: nothing may be sent behind them, or the order would change.
    async fn send(&mut self, row: Row) -> bool {
        let row_id = row.id;
        let messages = row.into_messages();
        self.in_flight.insert(row_id, Sent { unanswered: messages.len(), all_acknowledged: true });
        for (place, message) in messages.iter().enumerate() {
            if !self.send_one(row_id, message).await {
                // Those behind it were not sent, so nobody will answer for them.
                let unanswered = place + 1;
                self.in_flight.insert(row_id, Sent { unanswered, all_acknowledged: false });
                return false;
            }
        }
        true
    }

    /// Hands an event to the producer, in its `send` span. False: it was not taken, which is its answer.
    async fn send_one(&mut self, row: i64, message: &Message) -> bool {
        let span = spans::send(&message.topic, &message.event_id(), &message.subject(), &message.cause().to_context());
        let trace = TraceHeaders::of(&span);
        let mut record = message.record(self.source, &trace);
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
        let topic = message.topic.clone();
        self.deliveries.push(Box::pin(async move {
            let fate = acknowledged(span, sending).await;
            Delivered { row, topic, fate }
        }));
        in_order
    }
}
