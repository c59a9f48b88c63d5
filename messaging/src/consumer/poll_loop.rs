use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use postgres::Database;
use rdkafka::consumer::{BaseConsumer, CommitMode, Consumer as _};
use rdkafka::error::KafkaError;
use rdkafka::{Offset, TopicPartitionList};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::Handler;
use super::assignment::Assignment;
use super::partition_batch::{self, Done, PartitionBatch};
use super::positions::{self, Move};
use crate::record::Record;
use crate::{KafkaSettings, pace};

/// Longest wait for a record; also how soon a stop is noticed.
const POLL: Duration = Duration::from_millis(100);
/// Between two commits of Kafka's own offsets, each of which costs the broker a record.
const OFFSETS_INTERVAL: Duration = Duration::from_secs(1);
/// Pause before a partition whose transaction failed is tried again; it doubles with each try, up to [`LONGEST_BACK_OFF`].
const BACK_OFF: Duration = Duration::from_millis(100);
const LONGEST_BACK_OFF: Duration = Duration::from_secs(5);
/// A consumer that does not move although there is something to read, and does not wait for Postgres, is rebuilt (C2).
const STANDING_STILL: Duration = Duration::from_secs(30);
/// Bytes that are taken at once: what is written of them has to fit into one statement.
const MOST_BYTES: usize = 4 * 1_024 * 1_024;
/// Pause before a consumer that failed is rebuilt.
const REBUILD_PAUSE: Duration = Duration::from_secs(1);

pub(super) struct PollLoop<H: Handler> {
    pub(super) settings: KafkaSettings,
    pub(super) topic: &'static str,
    pub(super) group: &'static str,
    pub(super) handler: H,
    pub(super) database: Database,
    pub(super) stop: CancellationToken,
    pub(super) runtime: Handle,
}

/// Records of one partition that are not committed yet, and when to try (again).
struct Pending {
    records: Vec<Record>,
    due: Instant,
    paused: bool,
    tries: u32,
    /// The tenure of the partition in which they were read.
    tenure: Option<u64>,
}

/// Who moves a partition's position.
enum Worked {
    /// This consumer.
    Here,
    /// Somebody else has, or will: nothing that was read of it may be used any more.
    Elsewhere,
}

/// Kafka's own offsets, for lag tools only: nothing here reads them, so they may be late and may be lost.
struct Offsets {
    next: BTreeMap<i32, i64>,
    committed: Instant,
}

impl Pending {
    fn begun_in(tenure: Option<u64>) -> Self {
        Self { records: Vec::new(), due: Instant::now(), paused: false, tries: 0, tenure }
    }
}

type Consumer = BaseConsumer<Assignment>;

impl<H: Handler> PollLoop<H> {
    /// Consumes until stopped; a consumer that fails is built anew.
    pub(super) fn run_until_stopped(self) {
        while !self.stop.is_cancelled() {
            if let Err(error) = self.consume() {
                tracing::error!(error = %error, "the consumer failed and is built anew");
                std::thread::sleep(REBUILD_PAUSE);
            }
        }
    }

    fn build(&self) -> Result<Consumer, KafkaError> {
        let (database, runtime) = (self.database.clone(), self.runtime.clone());
        let assignment = Assignment::new(self.group, self.topic, database, runtime, self.stop.clone());
        let consumer: Consumer = self
            .settings
            .client(self.group)
            .set("group.id", self.group)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            // A position outside of what the broker has is looked at, not jumped over: see `Assignment`.
            .set("auto.offset.reset", "error")
            .set("partition.assignment.strategy", &self.settings.consumer_assignment_strategy)
            .set("socket.timeout.ms", "6000")
            .set("session.timeout.ms", "6000")
            .set("heartbeat.interval.ms", "2000")
            .set("max.poll.interval.ms", "60000")
            .set("queued.max.messages.kbytes", "8192")
            .set("fetch.wait.max.ms", "100")
            .set("statistics.interval.ms", "1000")
            .create_with_context(assignment)?;
        consumer.subscribe(&[self.topic])?;
        Ok(consumer)
    }

    fn consume(&self) -> Result<(), KafkaError> {
        let consumer = self.build()?;
        let mut pending: BTreeMap<i32, Pending> = BTreeMap::new();
        let mut offsets = Offsets { next: BTreeMap::new(), committed: Instant::now() };
        while !self.stop.is_cancelled() {
            let begun = Instant::now();
            self.gather(&consumer, &mut pending)?;
            self.check(&consumer, &pending)?;
            // What was taken away meanwhile is another consumer's now.
            pending.retain(|partition, waiting| {
                waiting.tenure.is_some() && waiting.tenure == consumer.context().tenure(*partition)
            });
            let taken = pending.values().map(|waiting| waiting.records.len()).sum();
            for (partition, waiting) in &mut pending {
                if let Some(position) = consumer.context().position(*partition) {
                    waiting.records = partition_batch::due(position, std::mem::take(&mut waiting.records));
                }
            }
            self.pass_over_old_news(&consumer, &mut pending, &mut offsets);
            for (partition, waiting) in &mut pending {
                if waiting.due <= Instant::now() {
                    let count = match waiting.tries {
                        0 => self.batch(&consumer, *partition).ready(&waiting.records).0,
                        _ => waiting.records.len(),
                    };
                    let later = waiting.records.split_off(count);
                    let worked = self.work_off(&consumer, *partition, waiting, &mut offsets)?;
                    let stuck = !waiting.records.is_empty();
                    match worked {
                        Worked::Here => waiting.records.extend(later),
                        // What is still due is fetched again, from the stored position on.
                        Worked::Elsewhere => {}
                    }
                    if stuck {
                        // Postgres may be away, and the others would find out one by one: poll in between.
                        break;
                    }
                }
            }
            pending.retain(|_, waiting| !waiting.records.is_empty());
            if offsets.committed.elapsed() >= OFFSETS_INTERVAL {
                self.commit(&consumer, &mut offsets);
            }
            std::thread::sleep(pace::until_next_round(taken).saturating_sub(begun.elapsed()));
        }
        self.commit(&consumer, &mut offsets);
        Ok(())
    }

    /// Moves the positions of partitions whose records change nothing, all in one statement. What does not move (fenced, or
    /// the database is away) goes the way of all other records.
    fn pass_over_old_news(&self, consumer: &Consumer, pending: &mut BTreeMap<i32, Pending>, offsets: &mut Offsets) {
        let (taken, assignment) = (Instant::now(), consumer.context());
        let mut moves = Vec::new();
        for (partition, waiting) in pending.iter().filter(|(_, waiting)| waiting.tries == 0) {
            let (count, only_old_news) = self.batch(consumer, *partition).ready(&waiting.records);
            if let (Some(expected), Some(last)) = (assignment.position(*partition), waiting.records[..count].last())
                && only_old_news
            {
                moves.push(Move { partition: *partition, expected, next: last.offset + 1 });
            }
        }
        if moves.is_empty() {
            return;
        }
        let moving = positions::pass_over(&self.database, self.group, self.topic, &moves);
        let Ok(moved) = self.runtime.block_on(moving) else { return };
        for Move { partition, next, .. } in moves {
            if moved.contains(&partition)
                && let Some(waiting) = pending.get_mut(&partition)
            {
                let count = waiting.records.partition_point(|record| record.offset < next);
                let passed: Vec<Record> = waiting.records.drain(..count).collect();
                self.batch(consumer, partition).passed_over(&passed, taken);
                assignment.moved(partition, next);
                offsets.next.insert(partition, next);
            }
        }
    }

    fn batch<'a>(&'a self, consumer: &'a Consumer, partition: i32) -> PartitionBatch<'a, H> {
        let place = consumer.context().partition(partition);
        PartitionBatch { place, handler: &self.handler, database: &self.database }
    }

    /// Nobody waits for it.
    fn commit(&self, consumer: &Consumer, offsets: &mut Offsets) {
        offsets.committed = Instant::now();
        let mut list = TopicPartitionList::new();
        for (partition, next) in std::mem::take(&mut offsets.next) {
            if consumer.context().position(partition).is_some() {
                list.add_partition_offset(self.topic, partition, Offset::Offset(next))
                    .expect("an offset of a record is a valid one");
            }
        }
        if list.count() > 0
            && let Err(error) = consumer.commit(&list, CommitMode::Async)
        {
            tracing::debug!(error = %error, "kafka's own offsets were not committed");
        }
    }

    /// Whether the consumer is worth going on with.
    fn check(&self, consumer: &Consumer, pending: &BTreeMap<i32, Pending>) -> Result<(), KafkaError> {
        let assignment = consumer.context();
        if !pending.is_empty() {
            assignment.note_progress();
        }
        let still = assignment.standing_still();
        if still > STANDING_STILL {
            tracing::error!(seconds = still.as_secs(), "the consumer stands still although there is something to read");
        }
        if assignment.has_failed() || still > STANDING_STILL { Err(KafkaError::Canceled) } else { Ok(()) }
    }

    /// Polls until nothing more is there, or enough is.
    fn gather(&self, consumer: &Consumer, pending: &mut BTreeMap<i32, Pending>) -> Result<(), KafkaError> {
        let next_try = pending.values().map(|waiting| waiting.due).min();
        let mut wait = next_try.map_or(POLL, |due| due.saturating_duration_since(Instant::now()).min(POLL));
        let mut bytes = 0;
        for _ in 0..self.settings.consumer_batch {
            if bytes > MOST_BYTES {
                break;
            }
            let Some(polled) = consumer.poll(wait) else { break };
            wait = Duration::ZERO;
            let record = match polled {
                Ok(message) => Record::of(&message),
                Err(error) if needs_new_consumer(&error) => return Err(error),
                Err(error) => {
                    // Brokers that are away are told by the service's health, once; librdkafka repeats it many times a second.
                    tracing::debug!(error = %error, "kafka can't be read for the moment");
                    continue;
                }
            };
            bytes += record.size();
            let tenure = consumer.context().tenure(record.partition);
            let waiting = pending.entry(record.partition).or_insert_with(|| Pending::begun_in(tenure));
            if waiting.tenure != tenure {
                *waiting = Pending::begun_in(tenure);
            }
            waiting.records.push(record);
        }
        Ok(())
    }

    fn work_off(
        &self,
        consumer: &Consumer,
        partition: i32,
        waiting: &mut Pending,
        offsets: &mut Offsets,
    ) -> Result<Worked, KafkaError> {
        let assignment = consumer.context();
        let Some(position) = assignment.position(partition) else { return Ok(Worked::Elsewhere) };
        let records = std::mem::take(&mut waiting.records);
        let batch = self.batch(consumer, partition);
        let Done { next, left, moved_by_another } = self.runtime.block_on(batch.process(position, records));

        if next != position {
            assignment.moved(partition, next);
            offsets.next.insert(partition, next);
        }
        if moved_by_another {
            self.follow(consumer, partition)?;
        }
        waiting.records = left;
        let stuck = !waiting.records.is_empty();
        if stuck {
            waiting.due = Instant::now() + (BACK_OFF * 2_u32.pow(waiting.tries.min(6))).min(LONGEST_BACK_OFF);
            waiting.tries += 1;
        } else {
            waiting.tries = 0;
        }
        if stuck != waiting.paused {
            let mut one = TopicPartitionList::new();
            one.add_partition(self.topic, partition);
            if stuck {
                consumer.pause(&one)?
            } else {
                consumer.resume(&one)?
            }
            waiting.paused = stuck;
        }
        Ok(if moved_by_another { Worked::Elsewhere } else { Worked::Here })
    }

    /// The position was moved by somebody else, so we may have lost the partition without knowing, or committed without
    /// being told: go on from where it stands now.
    fn follow(&self, consumer: &Consumer, partition: i32) -> Result<(), KafkaError> {
        let assignment = consumer.context();
        let stored = self.runtime.block_on(assignment.partition(partition).load(&self.database, 0));
        let Ok(stored) = stored else {
            return Err(KafkaError::Canceled); // Rebuilt, it reads the position as soon as the database is there.
        };
        tracing::warn!(
            messaging.destination.name = self.topic,
            messaging.destination.partition.id = partition,
            stored,
            "the stored position was moved by another consumer; going on from there"
        );
        assignment.moved(partition, stored);
        consumer.seek(self.topic, partition, Offset::Offset(stored), Duration::from_secs(5))
    }
}

/// Fatal errors and a position that the broker does not have: building anew looks at everything again.
fn needs_new_consumer(error: &KafkaError) -> bool {
    use rdkafka::error::RDKafkaErrorCode::{AutoOffsetReset, Fatal, OffsetOutOfRange};
    matches!(error.rdkafka_error_code(), Some(AutoOffsetReset | Fatal | OffsetOutOfRange))
}
