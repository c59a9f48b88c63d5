//! Dead letters: one for each record that was given up, however often it was read (I5, I6).

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proto::{headers, topics};

use crate::kafka::{self, Record};
use crate::platform::Platform;
use crate::waiting::eventually;

const TOPICS: [&str; 2] = [topics::ORDERS_DEAD_LETTERS, topics::INVENTORY_DEAD_LETTERS];

/// Records that consumers have given up on so far. A platform that nobody feeds nonsense has none to give up on.
///
/// # Panics
/// When the broker does not say.
pub async fn count(platform: &Platform) -> i64 {
    // A service that was just started may still be making its topics.
    eventually(Duration::from_secs(10), async || {
        let mut letters = 0;
        for topic in TOPICS {
            letters += kafka::ends(platform.kafka(), topic).await?.values().sum::<i64>();
        }
        Ok(letters)
    })
    .await
}

/// Where records lie that were given up: topic, partition, offset.
pub type Places = BTreeSet<(String, i32, i64)>;

/// Where the records lie that consumers have given up on.
///
/// # Errors
/// A record has two dead letters: its position was moved past it twice.
pub async fn check(platform: &Platform) -> Result<Places> {
    check_at(platform.kafka()).await
}

pub(super) async fn check_at(servers: &str) -> Result<Places> {
    let mut places: BTreeMap<_, BTreeSet<String>> = BTreeMap::new();
    for topic in TOPICS {
        for letter in kafka::read_all(servers, topic).await {
            // What the broker refused was never read from a topic.
            let Some(place) = place(&letter)? else { continue };
            // The relay may publish a letter twice; it then says the same time, to the nanosecond.
            let time = letter.header(headers::DLQ_TIME).context("a dead letter without dlq-time")?.to_owned();
            places.entry(place).or_default().insert(time);
        }
    }
    for (place, times) in &places {
        ensure!(times.len() == 1, "I6 is broken: {place:?} was given up {} times, at {times:?}", times.len());
    }
    Ok(places.into_keys().collect())
}

fn place(letter: &Record) -> Result<Option<(String, i32, i64)>> {
    let Some(offset) = letter.header(headers::DLQ_OFFSET) else { return Ok(None) };
    let topic = letter.header(headers::DLQ_TOPIC).context("a dead letter without dlq-topic")?;
    let partition = letter.header(headers::DLQ_PARTITION).context("a dead letter without dlq-partition")?;
    Ok(Some((topic.to_owned(), partition.parse()?, offset.parse()?)))
}
