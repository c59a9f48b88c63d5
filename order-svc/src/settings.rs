use std::time::Duration;

use crate::admission;
use messaging::KafkaSettings;
use postgres::DatabaseSettings;
use runtime::settings::SettingsReader;
use transport::client::ClientSettings;
use transport::server::ServerSettings;

/// Everything that the order service can be told.
#[derive(Clone, Debug)]
pub struct OrderSettings {
    /// Its database.
    pub database: DatabaseSettings,
    /// Its brokers.
    pub kafka: KafkaSettings,
    /// Its gRPC listener.
    pub server: ServerSettings,
    /// The inventory service.
    pub inventory: ClientSettings,
    /// An order that is unfinished for longer is the sweep's.
    pub sweep_after: Duration,
    /// What may pile up before new orders are refused.
    pub admission: admission::Limits,
}

impl OrderSettings {
    /// Declares and reads the settings; what is wrong is collected by `reader`.
    pub fn read(reader: &mut SettingsReader, default_listen: &'static str) -> Self {
        Self {
            database: DatabaseSettings::read(reader),
            kafka: KafkaSettings::read(reader),
            server: ServerSettings::read(reader, default_listen),
            inventory: ClientSettings::read_inventory(reader),
            sweep_after: reader.duration(
                "SWEEP_AFTER",
                "10s",
                "an order that events have not finished by then is taken further by the sweep",
            ),
            admission: admission::Limits {
                unfinished_orders: reader.value(
                    "MAX_UNFINISHED_ORDERS",
                    "100000",
                    "beyond so many orders that are PENDING, or closed with their stock unsettled, new ones are refused",
                ),
                outbox_age: reader.duration(
                    "MAX_OUTBOX_AGE",
                    "15m",
                    "while the oldest unpublished event is older, new orders are refused",
                ),
            },
        }
    }
}
