//! Reading dead letters from the beginning of their topic to where it ends now. No group is joined and nothing is
//! committed, so that looking changes nothing; and one letter is held at a time, whatever there is.

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{Consumer as _, StreamConsumer};
use rdkafka::error::KafkaError;
use rdkafka::{Message as _, Offset, TopicPartitionList};
use tokio::time::{Instant, timeout_at};

use super::letter::Letter;
use super::place::Place;
use crate::aside::Aside;
use crate::record::Record;
use crate::settings;

/// Longest wait for an answer of the brokers, and for the next letter.
const PATIENCE: Duration = Duration::from_secs(10);
/// librdkafka wants a name before it assigns partitions, although no group is joined.
const NAME: &str = "dead-letters";
/// What is fetched ahead of the letter in hand.
const AHEAD_KILOBYTES: &str = "8192";

/// Why dead letters can't be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// They can't be reached, or refuse to answer.
    #[error("the brokers do not answer: {0}")]
    Brokers(#[from] KafkaError),
    /// Nobody has created it.
    #[error("there is no topic {0}")]
    NoSuchTopic(String),
    /// There is more to read, but it does not come.
    #[error("no more of {topic} came within {PATIENCE:?}{}", because(.last_error.as_ref()))]
    Stalled {
        /// The topic.
        topic: String,
        /// What librdkafka said last.
        last_error: Option<KafkaError>,
    },
}

/// Reads dead letters.
#[derive(Clone, Debug)]
pub struct Reader {
    bootstrap_servers: String,
}

/// The letters of a topic; see [`Reader::letters`].
pub struct Letters {
    consumer: Arc<Aside<StreamConsumer>>,
    topic: String,
    /// Where each partition ended that is not read to its end yet.
    ends: BTreeMap<i32, i64>,
}

impl Reader {
    /// Does not connect yet.
    #[must_use]
    pub fn new(bootstrap_servers: &str) -> Self {
        Self { bootstrap_servers: bootstrap_servers.to_owned() }
    }

    /// Every letter that is in the topic now: in order within a partition, partitions as they come.
    ///
    /// # Errors
    /// There is no such topic, or the brokers do not answer.
    pub async fn letters(&self, topic: &str) -> Result<Letters, ReadError> {
        let consumer = self.connect()?;
        let extents = extents(&consumer, topic).await?;
        Letters::begin(consumer, topic, extents)
    }

    /// The letter that lies there, if one does.
    ///
    /// # Errors
    /// As [`letters`](Self::letters).
    pub async fn find(&self, place: &Place) -> Result<Option<Letter>, ReadError> {
        let consumer = self.connect()?;
        let extents = extents(&consumer, &place.topic).await?;
        let is_there = extents.get(&place.partition).is_some_and(|extent| extent.contains(&place.offset));
        if !is_there {
            return Ok(None);
        }
        let only = BTreeMap::from([(place.partition, place.offset..place.offset + 1)]);
        Letters::begin(consumer, &place.topic, only)?.next().await
    }

    /// A new one each time: a consumer that is given other partitions takes seconds to turn to them.
    fn connect(&self) -> Result<Arc<Aside<StreamConsumer>>, KafkaError> {
        let consumer = settings::client(&self.bootstrap_servers, NAME)
            .set("group.id", NAME)
            .set("enable.auto.commit", "false")
            .set("enable.auto.offset.store", "false")
            .set("enable.partition.eof", "true")
            // What retention deletes under our eyes is gone.
            .set("auto.offset.reset", "earliest")
            .set("queued.max.messages.kbytes", AHEAD_KILOBYTES)
            .set("fetch.wait.max.ms", "100")
            .create()?;
        Ok(Arc::new(Aside::new(consumer)))
    }
}

impl Letters {
    fn begin(
        consumer: Arc<Aside<StreamConsumer>>,
        topic: &str,
        mut extents: BTreeMap<i32, Range<i64>>,
    ) -> Result<Self, ReadError> {
        extents.retain(|_, extent| !extent.is_empty());
        let mut from = TopicPartitionList::new();
        for (partition, extent) in &extents {
            from.add_partition_offset(topic, *partition, Offset::Offset(extent.start))?;
        }
        consumer.assign(&from)?;
        let ends = extents.into_iter().map(|(partition, extent)| (partition, extent.end)).collect();
        Ok(Self { consumer, topic: topic.to_owned(), ends })
    }

    /// The next one; `None` when there are no more.
    ///
    /// # Errors
    /// The brokers do not give it.
    pub async fn next(&mut self) -> Result<Option<Letter>, ReadError> {
        let deadline = Instant::now() + PATIENCE;
        let mut last_error = None;
        while !self.ends.is_empty() {
            let Ok(received) = timeout_at(deadline, self.consumer.recv()).await else {
                return Err(ReadError::Stalled { topic: self.topic.clone(), last_error });
            };
            match received {
                Ok(message) => {
                    // What was written since reading began is not asked for.
                    let Some(end) = self.ends.get(&message.partition()).copied() else { continue };
                    if message.offset() + 1 >= end {
                        self.ends.remove(&message.partition());
                    }
                    if message.offset() < end {
                        return Ok(Some(Letter::from(Record::of(&message))));
                    }
                }
                // The last offsets of a partition need not hold a record.
                Err(KafkaError::PartitionEOF(partition)) => drop(self.ends.remove(&partition)),
                // A connection may break and come back.
                Err(error) => last_error = Some(error),
            }
        }
        Ok(None)
    }
}

/// Where each partition of a topic begins and ends now.
async fn extents(consumer: &Arc<Aside<StreamConsumer>>, topic: &str) -> Result<BTreeMap<i32, Range<i64>>, ReadError> {
    let (consumer, topic) = (Arc::clone(consumer), topic.to_owned());
    // These requests of librdkafka block.
    let asking = tokio::task::spawn_blocking(move || {
        let metadata = consumer.fetch_metadata(Some(&topic), PATIENCE)?;
        let partitions: Vec<i32> =
            metadata.topics().iter().flat_map(|found| found.partitions()).map(|partition| partition.id()).collect();
        if partitions.is_empty() {
            return Err(ReadError::NoSuchTopic(topic));
        }
        let extent = |partition| {
            let (begin, end) = consumer.fetch_watermarks(&topic, partition, PATIENCE)?;
            Ok((partition, begin..end))
        };
        partitions.into_iter().map(extent).collect()
    });
    asking.await.expect("asking does not panic, and nobody aborts it")
}

fn because(error: Option<&KafkaError>) -> String {
    error.map(|error| format!(": {error}")).unwrap_or_default()
}
