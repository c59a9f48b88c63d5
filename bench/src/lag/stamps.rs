//! How old events were when the broker took them, from the records themselves.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proto::{headers, topics};
use rdkafka::consumer::{BaseConsumer, Consumer as _};
use rdkafka::message::{BorrowedMessage, Headers as _};
use rdkafka::{ClientConfig, Message as _, Offset, Timestamp, TopicPartitionList};
use sqlx::types::time::OffsetDateTime;
use tests::kafka::{self, Ends, StampedBy};
use time::format_description::well_known::Rfc3339;

const TOPICS: [&str; 2] = [topics::ORDERS, topics::INVENTORY];
/// The records lie ready: what takes longer is broken.
const LIMIT: Duration = Duration::from_secs(120);

/// Where the topics end, by topic and partition.
type Positions = BTreeMap<(&'static str, i32), i64>;

/// Reads records after they were measured, so that reading takes nothing from the measurement.
pub(super) struct Stamps {
    servers: String,
    ends: Ends,
}

impl Stamps {
    /// From now on the broker writes its own time into each record as it appends it.
    pub(super) async fn set_up(servers: &str) -> Result<Self> {
        for topic in TOPICS {
            kafka::stamp_records(servers, topic, StampedBy::Broker).await;
        }
        Ok(Self { servers: servers.to_owned(), ends: Ends::asked_of(servers)? })
    }

    /// The topics are as they were again.
    pub(super) async fn tear_down(self) {
        for topic in TOPICS {
            kafka::stamp_records(&self.servers, topic, StampedBy::Producer).await;
        }
    }

    pub(super) async fn positions(&self) -> Result<Positions> {
        let mut positions = Positions::new();
        for topic in TOPICS {
            let ends = self.ends.of(topic).await?;
            positions.extend(ends.into_iter().map(|(partition, end)| ((topic, partition), end)));
        }
        Ok(positions)
    }

    /// Of each event between two positions: milliseconds from its time until its record was appended.
    pub(super) async fn between(&self, from: Positions, to: Positions) -> Result<Vec<f64>> {
        let servers = self.servers.clone();
        tokio::task::spawn_blocking(move || read(&servers, &from, &to)).await?
    }
}

fn read(servers: &str, from: &Positions, to: &Positions) -> Result<Vec<f64>> {
    let mut config = ClientConfig::new();
    config.set("bootstrap.servers", servers).set("group.id", "bench").set("enable.auto.commit", "false");
    let consumer: BaseConsumer = config.create()?;
    let mut assigned = TopicPartitionList::new();
    let mut missing = 0;
    for ((topic, partition), end) in to {
        let start = from.get(&(*topic, *partition)).copied().unwrap_or_default();
        assigned.add_partition_offset(topic, *partition, Offset::Offset(start))?;
        missing += end - start;
    }
    consumer.assign(&assigned)?;
    let begun = Instant::now();
    let mut lags = Vec::new();
    while missing > 0 {
        ensure!(begun.elapsed() < LIMIT, "{missing} records can't be read");
        let Some(polled) = consumer.poll(Duration::from_millis(100)) else { continue };
        let message = polled.context("a record")?;
        let end = TOPICS
            .iter()
            .find_map(|topic| to.get(&(*topic, message.partition())).filter(|_| *topic == message.topic()));
        if end.is_some_and(|end| message.offset() < *end) {
            missing -= 1;
            lags.push(lag(&message)?);
        }
    }
    Ok(lags)
}

#[expect(clippy::cast_precision_loss, reason = "differences of times are small")]
fn lag(message: &BorrowedMessage<'_>) -> Result<f64> {
    let Timestamp::LogAppendTime(appended) = message.timestamp() else {
        bail!("the broker has not stamped a record: {:?}", message.timestamp())
    };
    let all = message.headers().context("a record without headers")?;
    let time = all.iter().find(|header| header.key == headers::CE_TIME).and_then(|header| header.value);
    let time = std::str::from_utf8(time.context("a record without ce_time")?)?;
    let happened = OffsetDateTime::parse(time, &Rfc3339)?.unix_timestamp_nanos();
    Ok((i128::from(appended) * 1_000_000 - happened) as f64 / 1e6)
}
