use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use observability::names;
use postgres::Database;
use rdkafka::consumer::{BaseConsumer, Consumer as _, ConsumerContext, RebalanceProtocol};
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafkaRespErr;
use rdkafka::{ClientContext, Offset, Statistics, TopicPartitionList};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;

use super::positions::Partition;

const WATERMARK_PATIENCE: Duration = Duration::from_secs(5);
const BACK_OFF: Duration = Duration::from_millis(500);

/// Which partitions are ours and where each stands. librdkafka calls it inside `poll`, on the consumer's own thread, so
/// it may block: an assignment is not taken before its stored positions are known.
pub(super) struct Assignment {
    pub(super) group: &'static str,
    pub(super) topic: &'static str,
    pub(super) database: Database,
    pub(super) runtime: Handle,
    pub(super) stop: CancellationToken,
    positions: Mutex<HashMap<i32, Held>>,
    /// Partitions that were taken so far, to tell one time from the next.
    taken: AtomicU64,
    /// When a position last moved, or there was nothing to move for.
    progress: Mutex<Instant>,
    failed: AtomicBool,
}

/// A partition that is ours.
#[derive(Clone, Copy, Debug)]
struct Held {
    next: i64,
    tenure: u64,
}

impl Assignment {
    pub(super) fn new(
        group: &'static str,
        topic: &'static str,
        database: Database,
        runtime: Handle,
        stop: CancellationToken,
    ) -> Self {
        let (positions, progress) = (Mutex::new(HashMap::new()), Mutex::new(Instant::now()));
        let (taken, failed) = (AtomicU64::new(0), AtomicBool::new(false));
        Self { group, topic, database, runtime, stop, positions, taken, progress, failed }
    }

    /// Whether a rebalance failed, after which librdkafka would keep the membership and read nothing.
    pub(super) fn has_failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// How long there has been something to read while no position moved (C2).
    pub(super) fn standing_still(&self) -> Duration {
        self.progress.lock().unwrap_or_else(PoisonError::into_inner).elapsed()
    }

    /// Says that the consumer does not stand still, or that it is not its fault.
    pub(super) fn note_progress(&self) {
        *self.progress.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
    }

    /// The next offset of a partition that is ours.
    pub(super) fn position(&self, partition: i32) -> Option<i64> {
        self.lock().get(&partition).map(|held| held.next)
    }

    /// Names the time for which a partition is ours: records that were read in an earlier one are of no use any more, even
    /// if the partition was lost and won back within one poll.
    pub(super) fn tenure(&self, partition: i32) -> Option<u64> {
        self.lock().get(&partition).map(|held| held.tenure)
    }

    /// Says that a partition now stands at `next`, unless it was taken away meanwhile.
    pub(super) fn moved(&self, partition: i32, next: i64) {
        if let Some(held) = self.lock().get_mut(&partition) {
            held.next = next;
        }
        self.note_progress();
    }

    pub(super) fn partition(&self, partition: i32) -> Partition<'_> {
        Partition { group: self.group, topic: self.topic, partition }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<i32, Held>> {
        // Each use is one map operation: a panic elsewhere leaves it whole.
        self.positions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn assign(&self, consumer: &BaseConsumer<Self>, granted: &TopicPartitionList) -> KafkaResult<()> {
        let mut starts = TopicPartitionList::new();
        for element in granted.elements() {
            let partition = element.partition();
            let Some(position) = self.find_position(consumer, partition) else {
                return Ok(()); // Stopping: nothing will be read any more.
            };
            let tenure = self.taken.fetch_add(1, Ordering::Relaxed);
            self.lock().insert(partition, Held { next: position, tenure });
            starts.add_partition_offset(self.topic, partition, Offset::Offset(position))?;
        }
        self.note_progress();
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_assign(&starts),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.assign(&starts),
        }
    }

    fn revoke(&self, consumer: &BaseConsumer<Self>, lost: &TopicPartitionList) -> KafkaResult<()> {
        for element in lost.elements() {
            self.lock().remove(&element.partition());
            self.set_lag(element.partition(), 0);
        }
        // librdkafka remembers a pause beyond the assignment: given back later, the partition would never be read again.
        if let Err(error) = consumer.resume(lost) {
            tracing::warn!(%error, "a partition that is taken away can't be resumed");
        }
        match consumer.rebalance_protocol() {
            RebalanceProtocol::Cooperative => consumer.incremental_unassign(lost),
            RebalanceProtocol::Eager | RebalanceProtocol::None => consumer.unassign(),
        }
    }

    /// The stored position, checked against what the broker has; tried until it is known. `None` when stopping.
    fn find_position(&self, consumer: &BaseConsumer<Self>, partition: i32) -> Option<i64> {
        while !self.stop.is_cancelled() {
            match self.checked_position(consumer, partition) {
                Ok(position) => return Some(position),
                Err(problem) => tracing::warn!(
                    messaging.destination.name = self.topic,
                    messaging.destination.partition.id = partition,
                    problem,
                    "the stored position is not known yet"
                ),
            }
            std::thread::sleep(BACK_OFF);
        }
        None
    }

    fn checked_position(&self, consumer: &BaseConsumer<Self>, partition: i32) -> Result<i64, String> {
        let place = self.partition(partition);
        let watermarks = || {
            let asked = consumer.fetch_watermarks(self.topic, partition, WATERMARK_PATIENCE);
            asked.map_err(|error: KafkaError| error.to_string())
        };
        let load = |low| self.runtime.block_on(place.load(&self.database, low)).map_err(|error| error.to_string());
        let stored = load(watermarks()?.0)?;
        // Asked again: whoever had the partition before us may have moved the position past the first answer meanwhile.
        let (low, high) = watermarks()?;
        if (low..=high).contains(&stored) {
            return Ok(stored);
        }
        // The topic was created anew, or what was next is no longer kept (C1).
        tracing::error!(
            messaging.destination.name = self.topic,
            messaging.destination.partition.id = partition,
            stored,
            low,
            high,
            "the stored position is outside of what the broker has; starting at the lowest offset"
        );
        metrics::counter!(names::KAFKA_CONSUMER_POSITION_RESETS, "messaging_destination_name" => self.topic)
            .increment(1);
        self.runtime.block_on(place.reset(&self.database, stored, low)).map_err(|error| error.to_string())?;
        load(low)
    }

    fn set_lag(&self, partition: i32, lag: i64) {
        metrics::gauge!(
            names::KAFKA_CONSUMER_LAG,
            "messaging_destination_name" => self.topic,
            "partition" => partition.to_string(),
        )
        .set(f64::from(i32::try_from(lag).unwrap_or(i32::MAX)));
    }
}

impl ClientContext for Assignment {
    /// Once a second: how far each of our partitions is behind.
    fn stats(&self, statistics: Statistics) {
        let Some(topic) = statistics.topics.get(self.topic) else { return };
        let mut is_behind = false;
        for (partition, seen) in &topic.partitions {
            if let Some(position) = self.position(*partition)
                && seen.hi_offset >= 0
            {
                let lag = (seen.hi_offset - position).max(0);
                is_behind |= lag > 0;
                self.set_lag(*partition, lag);
            }
        }
        if !is_behind {
            self.note_progress();
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        tracing::debug!(error = %error, reason, "librdkafka");
    }
}

impl ConsumerContext for Assignment {
    fn rebalance(&self, consumer: &BaseConsumer<Self>, what: RDKafkaRespErr, partitions: &mut TopicPartitionList) {
        let done = match what {
            RDKafkaRespErr::RD_KAFKA_RESP_ERR__ASSIGN_PARTITIONS => {
                tracing::info!(
                    messaging.destination.name = self.topic,
                    count = partitions.count(),
                    "partitions assigned"
                );
                self.assign(consumer, partitions)
            }
            // Revoked, lost, or an error after which nothing can be ours.
            _ => {
                tracing::info!(
                    messaging.destination.name = self.topic,
                    count = partitions.count(),
                    "partitions revoked"
                );
                self.revoke(consumer, partitions)
            }
        };
        if let Err(error) = done {
            tracing::error!(error = %error, "rebalance failed");
            self.failed.store(true, Ordering::Relaxed);
        }
    }
}
