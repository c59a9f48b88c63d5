//! Topics from outside.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use rdkafka::admin::{
    AdminClient, AdminOptions, AlterConfig, NewPartitions, NewTopic, ResourceSpecifier, TopicReplication,
};
use rdkafka::client::DefaultClientContext;
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::error::RDKafkaErrorCode;
use rdkafka::message::{Header, Headers as _, OwnedHeaders};
use rdkafka::producer::{FutureProducer, FutureRecord};
use rdkafka::{ClientConfig, Message as _, Offset, TopicPartitionList};

use crate::waiting::eventually;

const LIMIT: Duration = Duration::from_secs(20);
const ATTEMPT: Duration = Duration::from_secs(5);
const PARTITIONS: i32 = proto::topics::PARTITIONS;

/// A record as it lies in a topic.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Record {
    /// Where.
    pub partition: i32,
    /// Where in the partition.
    pub offset: i64,
    /// The key.
    pub key: Option<Vec<u8>>,
    /// The value.
    pub value: Option<Vec<u8>>,
    /// In order; names may repeat.
    pub headers: Vec<(String, Option<Vec<u8>>)>,
}

impl Record {
    /// The value of a header, when it is text.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        let (_, value) = self.headers.iter().find(|(header, _)| header == name)?;
        std::str::from_utf8(value.as_deref()?).ok()
    }

    /// The key as text.
    #[must_use]
    pub fn key_text(&self) -> Option<&str> {
        std::str::from_utf8(self.key.as_deref()?).ok()
    }
}

/// Everything in a topic, from offset 0 of each partition to where it ends now.
///
/// # Panics
/// When the broker gives nothing for 20 s.
pub async fn read_all(servers: &str, topic: &str) -> Vec<Record> {
    fold(servers, topic, Vec::new(), Vec::push).await
}

/// The same, record by record, for topics that don't fit into memory.
///
/// # Panics
/// When the broker gives nothing for 20 s.
pub async fn fold<S: Send + 'static>(
    servers: &str,
    topic: &str,
    mut state: S,
    step: impl Fn(&mut S, Record) + Send + 'static,
) -> S {
    // A topic that was just created has no leader for a moment.
    let ends = eventually(LIMIT, async || ends(servers, topic).await).await;
    let (servers, topic) = (servers.to_owned(), topic.to_owned());
    let reading = tokio::task::spawn_blocking(move || {
        read_up_to(&servers, &topic, &ends, |record| step(&mut state, record)).map(|()| state)
    });
    reading.await.expect("reading does not panic").expect("the topic can be read")
}

/// Where each partition ends now.
///
/// # Errors
/// The broker does not say.
pub async fn ends(servers: &str, topic: &str) -> Result<BTreeMap<i32, i64>> {
    Ends::asked_of(servers)?.of(topic).await
}

/// Where one partition ends now.
///
/// # Errors
/// There is no such partition, or the broker does not say.
pub async fn end(servers: &str, topic: &str, partition: i32) -> Result<i64> {
    let (consumer, topic) = (consumer(servers)?, topic.to_owned());
    Ok(tokio::task::spawn_blocking(move || consumer.fetch_watermarks(&topic, partition, ATTEMPT)).await??.1)
}

/// Says where topics end, again and again over connections that stay open: making one takes a tenth of a second.
#[derive(Clone)]
pub struct Ends(Arc<BaseConsumer>);

impl Ends {
    /// Asks these brokers.
    ///
    /// # Errors
    /// librdkafka takes no such address.
    pub fn asked_of(servers: &str) -> Result<Self> {
        Ok(Self(Arc::new(consumer(servers)?)))
    }

    /// Where each partition of a topic ends now.
    ///
    /// # Errors
    /// The broker does not say.
    pub async fn of(&self, topic: &str) -> Result<BTreeMap<i32, i64>> {
        let (consumer, topic) = (Arc::clone(&self.0), topic.to_owned());
        let asking = tokio::task::spawn_blocking(move || {
            let end = |partition| Ok((partition, consumer.fetch_watermarks(&topic, partition, ATTEMPT)?.1));
            (0..PARTITIONS).map(end).collect()
        });
        asking.await?
    }
}

fn read_up_to(servers: &str, topic: &str, ends: &BTreeMap<i32, i64>, mut each: impl FnMut(Record)) -> Result<()> {
    let consumer = consumer(servers)?;
    let mut from = TopicPartitionList::new();
    let mut missing: BTreeMap<i32, i64> = ends.iter().filter(|(_, end)| **end > 0).map(|(p, end)| (*p, *end)).collect();
    for partition in missing.keys() {
        from.add_partition_offset(topic, *partition, Offset::Beginning)?;
    }
    consumer.assign(&from)?;
    let mut last = Instant::now();
    while !missing.is_empty() {
        ensure!(last.elapsed() < LIMIT, "{topic} was not read up to {missing:?} in time");
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = polled.context("a record of the topic")?;
        last = Instant::now();
        if missing.get(&message.partition()).is_some_and(|end| message.offset() + 1 >= *end) {
            missing.remove(&message.partition());
        }
        let headers = message.headers().map_or_else(Vec::new, |headers| {
            headers.iter().map(|header| (header.key.to_owned(), header.value.map(<[u8]>::to_vec))).collect()
        });
        each(Record {
            partition: message.partition(),
            offset: message.offset(),
            key: message.key().map(<[u8]>::to_vec),
            value: message.payload().map(<[u8]>::to_vec),
            headers,
        });
    }
    Ok(())
}

fn consumer(servers: &str) -> Result<BaseConsumer> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "end-to-end-tests").set("enable.auto.commit", "false");
    // The mock broker answers fetches at once or after that long.
    Ok(config.set("fetch.wait.max.ms", "5").create()?)
}

/// Produces a record and returns its partition and offset. Without a key it goes to the record's partition.
///
/// # Panics
/// When the broker does not take it.
pub async fn produce(servers: &str, topic: &str, record: &Record) -> (i32, i64) {
    try_produce(servers, topic, record).await.expect("the broker takes it")
}

/// The same, where the broker may refuse: it learns of a topic's new settings a moment after it took them.
///
/// # Errors
/// It does.
pub async fn try_produce(servers: &str, topic: &str, record: &Record) -> Result<(i32, i64)> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("partitioner", "murmur2_random").set("linger.ms", "0");
    // What a topic takes is the topic's to say.
    config.set("message.max.bytes", "10000000");
    let producer: FutureProducer = config.create().expect("the settings are right");
    let headers = record.headers.iter().fold(OwnedHeaders::new(), |headers, (name, value)| {
        headers.insert(Header { key: name, value: value.as_deref() })
    });
    let mut sent = FutureRecord::<[u8], [u8]>::to(topic).headers(headers);
    sent.key = record.key.as_deref();
    sent.payload = record.value.as_deref();
    if record.key.is_none() {
        sent.partition = Some(record.partition);
    }
    let delivery = producer.send(sent, LIMIT).await.map_err(|(error, _)| error)?;
    Ok((delivery.partition, delivery.offset))
}

/// The partition that Java's default partitioner gives a key: `toPositive(murmur2(key)) % partitions`.
#[must_use]
pub fn partition_of(key: &[u8]) -> i32 {
    (murmur2(key) & 0x7fff_ffff).cast_signed() % PARTITIONS
}

/// As `org.apache.kafka.common.utils.Utils.murmur2`.
#[must_use]
pub fn murmur2(data: &[u8]) -> u32 {
    const M: u32 = 0x5bd1_e995;
    let length = u32::try_from(data.len()).expect("a key is short");
    let mut hash = 0x9747_b28c ^ length;
    let mut words = data.chunks_exact(4);
    for word in &mut words {
        let mut k = u32::from_le_bytes(word.try_into().expect("a chunk of four")).wrapping_mul(M);
        k ^= k >> 24;
        hash = hash.wrapping_mul(M) ^ k.wrapping_mul(M);
    }
    let rest = words.remainder();
    if !rest.is_empty() {
        let tail = rest.iter().rev().fold(0, |tail, byte| (tail << 8) | u32::from(*byte));
        hash = (hash ^ tail).wrapping_mul(M);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(M);
    hash ^ (hash >> 15)
}

/// Makes a topic as the services make theirs.
///
/// # Panics
/// When the broker does not.
pub async fn create_topic(servers: &str, topic: &str) {
    let topics = [NewTopic::new(topic, PARTITIONS, TopicReplication::Fixed(1))];
    for answer in admin(servers).create_topics(&topics, &options()).await.expect("the broker answers") {
        if let Err((topic, code)) = answer {
            assert_eq!(code, RDKafkaErrorCode::TopicAlreadyExists, "{topic}");
        }
    }
}

/// Makes a topic refuse batches of records beyond `bytes`.
///
/// # Panics
/// When the broker does not take the setting.
pub async fn limit_batches(servers: &str, topic: &str, bytes: u32) {
    configure(servers, topic, "max.message.bytes", &bytes.to_string()).await;
}

/// Whose clock a record's time is read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StampedBy {
    /// When it was made; so it is by default.
    Producer,
    /// When it was appended to its partition.
    Broker,
}

/// Chooses what the records of a topic are stamped with from now on.
///
/// # Panics
/// When the broker does not take the setting.
pub async fn stamp_records(servers: &str, topic: &str, by: StampedBy) {
    let kind = match by {
        StampedBy::Producer => "CreateTime",
        StampedBy::Broker => "LogAppendTime",
    };
    configure(servers, topic, "message.timestamp.type", kind).await;
}

/// Replaces all settings of a topic by this one.
async fn configure(servers: &str, topic: &str, name: &str, value: &str) {
    let setting = AlterConfig::new(ResourceSpecifier::Topic(topic)).set(name, value);
    for answer in admin(servers).alter_configs([&setting], &options()).await.expect("the broker answers") {
        answer.expect("the broker takes the setting");
    }
}

/// Deletes a topic with everything in it.
///
/// # Panics
/// When the broker does not.
pub async fn delete(servers: &str, topic: &str) {
    for answer in admin(servers).delete_topics(&[topic], &options()).await.expect("the broker answers") {
        answer.expect("the broker deletes the topic");
    }
}

/// Gives a topic more partitions: so many in all.
///
/// # Panics
/// When the broker does not.
pub async fn grow(servers: &str, topic: &str, partitions: usize) {
    let more = NewPartitions::new(topic, partitions);
    for answer in admin(servers).create_partitions(&[more], &options()).await.expect("the broker answers") {
        answer.expect("the broker makes the partitions");
    }
}

fn admin(servers: &str) -> AdminClient<DefaultClientContext> {
    ClientConfig::new().set("bootstrap.servers", servers).create().expect("the settings are right")
}

fn options() -> AdminOptions {
    AdminOptions::new().request_timeout(Some(LIMIT)).operation_timeout(Some(LIMIT))
}
