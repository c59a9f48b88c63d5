//! A platform in containers, looked at from its network: where its parts are, and what can be asked of them. The program
//! `stack-check` offers this to `tests/compose`.

pub mod monitoring;
pub mod placement;
pub mod shopping;

use std::time::Duration;

use anyhow::{Context as _, Result};
use clap::Args;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tonic::transport::{Channel, Endpoint};

use crate::shop::Shop;
use crate::state::State;

/// A name whose container is away is asked for elsewhere, which may take long.
const CONNECT_LIMIT: Duration = Duration::from_secs(3);

/// Where both services listen.
#[derive(Clone, Debug, Args)]
pub struct Services {
    /// The order service
    #[arg(long, env = "ORDERS_ADDRESS", default_value = "http://127.0.0.1:50051")]
    orders: String,
    /// The inventory service
    #[arg(long, env = "INVENTORY_ADDRESS", default_value = "http://127.0.0.1:50052")]
    inventory: String,
}

/// Where the platform keeps what it knows.
#[derive(Clone, Debug, Args)]
pub struct Stores {
    /// The database of the order service
    #[arg(long, env = "ORDERS_DATABASE_URL", hide_env_values = true)]
    orders_database: String,
    /// The database of the inventory service
    #[arg(long, env = "INVENTORY_DATABASE_URL", hide_env_values = true)]
    inventory_database: String,
    /// Brokers to start from
    #[arg(long, env = "KAFKA_BOOTSTRAP_SERVERS", default_value = "127.0.0.1:19092")]
    kafka: String,
}

impl Services {
    /// A caller of both services, with a customer id and SKUs of its own.
    ///
    /// # Errors
    /// An address is none.
    pub fn shop(&self) -> Result<Shop> {
        let (orders, inventory) = (channel(&self.orders)?, channel(&self.inventory)?);
        Ok(Shop::new(OrderServiceClient::new(orders), InventoryServiceClient::new(inventory)))
    }
}

impl Stores {
    /// The databases and Kafka.
    ///
    /// # Errors
    /// An address is none.
    pub fn state(&self) -> Result<State> {
        Ok(State::new(pool(&self.orders_database)?, pool(&self.inventory_database)?, &self.kafka))
    }
}

/// A connection that comes up with the first call.
fn channel(address: &str) -> Result<Channel> {
    let endpoint = Endpoint::from_shared(address.to_owned()).with_context(|| format!("{address} is no address"))?;
    Ok(endpoint.connect_timeout(CONNECT_LIMIT).connect_lazy())
}

fn pool(url: &str) -> Result<PgPool> {
    PgPoolOptions::new().max_connections(2).connect_lazy(url).context("a database's URL")
}
