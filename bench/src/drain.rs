//! When is everything done that a load has left behind?

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use proto::topics;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::kafka::Ends;
use tests::platform::Platform;
use tests::service::Part;

/// Between two looks.
const LOOK: Duration = Duration::from_millis(20);
/// A backlog that takes longer is not measured but broken.
const LIMIT: Duration = Duration::from_secs(300);

/// Looks at both outboxes and both consumers' positions, over connections of its own that stay open.
pub(crate) struct Drain {
    orders: PgConnection,
    inventory: PgConnection,
    ends: Ends,
}

impl Drain {
    pub(crate) async fn connect(platform: &Platform) -> Result<Self> {
        let connect = async |part: Part| {
            let mut connection = PgConnection::connect(&platform.stack.postgres.database_url(part.database())).await?;
            // The first row of an outbox is found by its index; reading the table would pass all that was deleted.
            connection.execute("set enable_seqscan = off").await?;
            Ok::<_, sqlx::Error>(connection)
        };
        Ok(Self {
            orders: connect(Part::Orders).await?,
            inventory: connect(Part::Inventory).await?,
            ends: Ends::asked_of(platform.kafka())?,
        })
    }

    /// Waits until both outboxes are empty and both consumers have committed everything, and says when that was.
    pub(crate) async fn wait(&mut self) -> Result<Instant> {
        let end = Instant::now() + LIMIT;
        loop {
            while !self.is_published().await? {
                pause(end, "the outboxes are not empty").await?;
            }
            // Nothing is on its way to the topics now, so that they end where they end.
            let read_by_orders = self.ends.of(topics::INVENTORY).await?;
            let read_by_inventory = self.ends.of(topics::ORDERS).await?;
            while !(is_read(&mut self.orders, topics::INVENTORY, &read_by_orders).await?
                && is_read(&mut self.inventory, topics::ORDERS, &read_by_inventory).await?)
            {
                pause(end, "the consumers are behind").await?;
            }
            let done = Instant::now();
            // What was read last may have had something to say itself.
            if self.is_published().await? {
                return Ok(done);
            }
        }
    }

    async fn is_published(&mut self) -> Result<bool> {
        for connection in [&mut self.orders, &mut self.inventory] {
            let first = sqlx::query("select id from outbox order by id limit 1").fetch_optional(connection).await;
            if first.context("the outbox can't be read")?.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

async fn is_read(connection: &mut PgConnection, topic: &str, ends: &BTreeMap<i32, i64>) -> Result<bool> {
    let positions: Vec<(i32, i64)> =
        sqlx::query_as("select partition, next_offset from consumer_positions where topic = $1")
            .bind(topic)
            .fetch_all(connection)
            .await
            .context("the positions can't be read")?;
    let positions = BTreeMap::from_iter(positions);
    Ok(ends.iter().all(|(partition, end)| positions.get(partition).copied().unwrap_or_default() == *end))
}

async fn pause(end: Instant, still: &str) -> Result<()> {
    ensure!(Instant::now() < end, "{still} after {} s", LIMIT.as_secs());
    tokio::time::sleep(LOOK).await;
    Ok(())
}
