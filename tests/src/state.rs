//! Where a platform keeps what it knows: two databases and Kafka, wherever they run.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use proto::topics;
use sqlx::PgPool;

use crate::kafka;
use crate::service::Part;
use crate::waiting::within;

/// Both databases and Kafka, as seen from outside of the services.
#[derive(Clone, Debug)]
pub struct State {
    orders: PgPool,
    inventory: PgPool,
    kafka: String,
}

impl State {
    /// `kafka` are brokers to start from.
    #[must_use]
    pub fn new(orders: PgPool, inventory: PgPool, kafka: &str) -> Self {
        Self { orders, inventory, kafka: kafka.to_owned() }
    }

    /// The database of a service.
    #[must_use]
    pub fn database(&self, part: Part) -> &PgPool {
        match part {
            Part::Orders => &self.orders,
            Part::Inventory => &self.inventory,
        }
    }

    /// Where Kafka is.
    #[must_use]
    pub fn kafka(&self) -> &str {
        &self.kafka
    }

    /// Waits until there is nothing left to do: both outboxes are empty, and both consumers have committed everything.
    ///
    /// # Errors
    /// What is left to do after `limit`.
    pub async fn rests(&self, limit: Duration) -> Result<()> {
        within(limit, async || {
            // Twice: what one service published while the other was looked at may still wait to be consumed.
            let both = [(&self.orders, topics::INVENTORY), (&self.inventory, topics::ORDERS)];
            for (database, topic) in both.into_iter().chain(both) {
                let waiting: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(database).await?;
                ensure!(waiting == 0, "{waiting} rows wait in an outbox");
                let positions: Vec<(i32, i64)> =
                    sqlx::query_as("select partition, next_offset from consumer_positions where topic = $1")
                        .bind(topic)
                        .fetch_all(database)
                        .await?;
                let positions = BTreeMap::from_iter(positions);
                for (partition, end) in kafka::ends(self.kafka(), topic).await? {
                    let position = positions.get(&partition).copied().unwrap_or_default();
                    ensure!(position == end, "{topic}/{partition} ends at {end}, consumed up to {position}");
                }
            }
            Ok(())
        })
        .await
    }
}
