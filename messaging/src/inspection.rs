//! Messages on their way, as they can be seen from outside: for tools that look whether they flow. Looking changes
//! nothing, joins no group and takes no lock.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::consumer::{BaseConsumer, Consumer as _};
use sqlx::PgConnection;

use crate::aside::Aside;
use crate::{relay, settings};

pub use rdkafka::error::KafkaError;

/// librdkafka's name for this client.
const NAME: &str = "inspection";

/// The brokers.
pub struct Brokers {
    client: Arc<Aside<BaseConsumer>>,
    patience: Duration,
}

/// A consumer group as the brokers know it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `Stable`, `PreparingRebalance`, `Empty`, …
    pub state: String,
    /// Consumers that are in it now.
    pub members: usize,
}

/// A partition of a topic.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number.
    pub id: i32,
    /// Whether a broker leads it: without, nothing is written or read.
    pub has_leader: bool,
}

/// The session that holds the lock of a database's relay.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Leader {
    /// Its process on the database server.
    pub process_id: i32,
    /// What it calls itself.
    pub application: String,
    /// Whether it calls itself what a relay does.
    pub is_relay: bool,
}

impl Brokers {
    /// Does not connect yet. A question that takes longer than `patience` fails.
    ///
    /// # Errors
    /// librdkafka takes no such addresses.
    pub fn new(bootstrap_servers: &str, patience: Duration) -> Result<Self, KafkaError> {
        let client = settings::client(bootstrap_servers, NAME).set("group.id", NAME).create()?;
        Ok(Self { client: Arc::new(Aside::new(client)), patience })
    }

    /// Every topic with its partitions.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub async fn topics(&self) -> Result<BTreeMap<String, Vec<Partition>>, KafkaError> {
        self.ask(|client, patience| {
            let metadata = client.fetch_metadata(None, patience)?;
            let partitions = |topic: &rdkafka::metadata::MetadataTopic| {
                let of = |partition: &rdkafka::metadata::MetadataPartition| Partition {
                    id: partition.id(),
                    has_leader: partition.leader() >= 0,
                };
                topic.partitions().iter().map(of).collect()
            };
            Ok(metadata.topics().iter().map(|topic| (topic.name().to_owned(), partitions(topic))).collect())
        })
        .await
    }

    /// Where each partition of a topic ends now.
    ///
    /// # Errors
    /// The brokers do not answer, or there is no such topic.
    pub async fn ends(&self, topic: &str) -> Result<BTreeMap<i32, i64>, KafkaError> {
        let topic = topic.to_owned();
        self.ask(move |client, patience| {
            let metadata = client.fetch_metadata(Some(&topic), patience)?;
            let partitions = metadata.topics().iter().flat_map(|found| found.partitions());
            let end = |partition: i32| Ok((partition, client.fetch_watermarks(&topic, partition, patience)?.1));
            partitions.map(|partition| end(partition.id())).collect()
        })
        .await
    }

    /// A consumer group; `None` when the brokers know of none of that name.
    ///
    /// # Errors
    /// The brokers do not answer.
    pub async fn group(&self, name: &str) -> Result<Option<Group>, KafkaError> {
        let name = name.to_owned();
        self.ask(move |client, patience| {
            let list = client.fetch_group_list(Some(&name), patience)?;
            let found = list.groups().iter().find(|group| group.name() == name);
            Ok(found.map(|group| Group { state: group.state().to_owned(), members: group.members().len() }))
        })
        .await
    }

    /// These questions of librdkafka block.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&BaseConsumer, Duration) -> Result<T, KafkaError> + Send + 'static,
    ) -> Result<T, KafkaError> {
        let (client, patience) = (Arc::clone(&self.client), self.patience);
        let asking = tokio::task::spawn_blocking(move || question(&client, patience));
        asking.await.expect("asking does not panic, and nobody aborts it")
    }
}

/// How many events about `key` (an order's id) wait in the outbox.
///
/// # Errors
/// The database does not answer.
pub async fn waiting_events(connection: &mut PgConnection, key: &str) -> Result<i64, sqlx::Error> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from outbox, unnest(keys) as event (key) where event.key = convert_to($1, 'utf8')"#,
        key,
    );
    count.fetch_one(connection).await
}

/// Who holds the lock that makes a relay the leader.
///
/// # Errors
/// The database does not answer.
pub async fn leader(connection: &mut PgConnection) -> Result<Option<Leader>, sqlx::Error> {
    // The halves of a lock's 64 bits stand in two columns.
    let found = sqlx::query!(
        r#"select session.pid as "process_id!", coalesce(session.application_name, '') as "application!"
           from pg_locks as lock join pg_stat_activity as session using (pid)
           where lock.locktype = 'advisory' and lock.granted and lock.objsubid = 1
               and lock.database = (select oid from pg_database where datname = current_database())
               and (lock.classid::bigint << 32) + lock.objid::bigint = $1
           limit 1"#,
        relay::LEADER_LOCK,
    );
    let found = found.fetch_optional(connection).await?;
    Ok(found.map(|session| Leader {
        is_relay: session.application == relay::LEADER_APPLICATION,
        process_id: session.process_id,
        application: session.application,
    }))
}

/// The next offset of each partition of `topic` that `group` has read from, as the service's database has it (C1).
///
/// # Errors
/// The database does not answer.
pub async fn positions(
    connection: &mut PgConnection,
    group: &str,
    topic: &str,
) -> Result<BTreeMap<i32, i64>, sqlx::Error> {
    let rows = sqlx::query!(
        "select partition, next_offset from consumer_positions where consumer_group = $1 and topic = $2",
        group,
        topic,
    );
    Ok(rows.fetch_all(connection).await?.into_iter().map(|row| (row.partition, row.next_offset)).collect())
}
