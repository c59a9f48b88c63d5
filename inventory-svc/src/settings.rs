use messaging::KafkaSettings;
use postgres::DatabaseSettings;
use runtime::settings::SettingsReader;
use transport::server::ServerSettings;

/// Everything that the inventory service can be told.
#[derive(Clone, Debug)]
pub struct InventorySettings {
    /// Its database.
    pub database: DatabaseSettings,
    /// Its brokers.
    pub kafka: KafkaSettings,
    /// Its gRPC listener.
    pub server: ServerSettings,
}

impl InventorySettings {
    /// Declares and reads the settings; what is wrong is collected by `reader`.
    pub fn read(reader: &mut SettingsReader, default_listen: &'static str) -> Self {
        Self {
            database: DatabaseSettings::read(reader),
            kafka: KafkaSettings::read(reader),
            server: ServerSettings::read(reader, default_listen),
        }
    }
}
