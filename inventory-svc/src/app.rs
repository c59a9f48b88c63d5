use std::sync::Arc;
use std::time::{Duration, Instant};

use messaging::relay::{Relay, RelayWaker};
use messaging::{consumer, kafka_probe};
use postgres::{Database, Lookup, Writer};
use proto::inventory::v1::inventory_service_server::{InventoryServiceServer, SERVICE_NAME};
use proto::topics;
use runtime::bootstrap::{RuntimeHandle, Service, StartError};
use runtime::settings::SettingsReader;
use runtime::tasks::TaskGroup;
use tonic::service::Routes;
use transport::error::ErrorDomain;
use transport::server::{Authentication, Business};

use crate::events::OrderEvents;
use crate::grpc::InventoryApi;
use crate::settings::InventorySettings;
use crate::store::StockStore;
use crate::store::reads::ItemBySku;
use crate::use_cases::Inventory;

/// The running service. Its parts stop in the order of the fields.
#[derive(Debug)]
pub struct InventoryService {
    serving: TaskGroup,
    consuming: TaskGroup,
    writing: TaskGroup,
    relaying: TaskGroup,
    probing: TaskGroup,
    database: Database,
}

impl Service for InventoryService {
    const NAME: &'static str = topics::INVENTORY_SERVICE;
    const ABOUT: &'static str = "Owns the stock and promises it to orders, never more than there is.";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRPC_LISTEN: &'static str = "0.0.0.0:50052";
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9465";
    const HTTP_LISTEN: &'static str = "0.0.0.0:8081";

    type Settings = InventorySettings;

    fn read_settings(reader: &mut SettingsReader) -> InventorySettings {
        InventorySettings::read(reader, Self::GRPC_LISTEN)
    }

    async fn start(settings: InventorySettings, runtime: RuntimeHandle) -> Result<Self, StartError> {
        let group = |name| TaskGroup::new(name, &runtime.supervisor);
        let (serving, consuming, writing) = (group("grpc"), group("consumer"), group("writer"));
        let (relaying, probing) = (group("relay"), group("probes"));
        let listener = transport::server::bind(&settings.server).await?;

        let database = Database::connect_lazily(settings.database, Self::NAME);
        let schema_ready = database.watch(crate::migrations(), &runtime.health, &probing);
        kafka_probe::watch(&settings.kafka, &runtime.health, &probing)?;

        let relay = RelayWaker::default();
        let store = StockStore::new(relay.clone());
        let writer = Writer::start(Arc::new(store.clone()), &database, &writing);
        let (kafka, ready) = (settings.kafka, schema_ready);
        drop(Relay::start(kafka.clone(), Self::NAME, database.clone(), relay, ready.clone(), &relaying));
        let events = OrderEvents::new(store);
        consumer::start(kafka, topics::ORDERS, Self::NAME, events, database.clone(), ready, &consuming);

        let (health, stop) = (runtime.health, serving.stop_token());
        let items = Lookup::start(ItemBySku, &database, &writing);
        let inventory = Inventory::new(database.clone(), writer, items);
        let api = InventoryServiceServer::new(InventoryApi::new(inventory, stop.clone()))
            .max_decoding_message_size(settings.server.max_message_bytes)
            .max_encoding_message_size(settings.server.max_answer_bytes);
        let business = Business {
            routes: Routes::new(api),
            names: &[SERVICE_NAME],
            domain: ErrorDomain::INVENTORY,
            authentication: Authentication::default(),
        };
        serving.spawn("grpc", async move {
            transport::server::serve(listener, settings.server, business, &health, stop).await
        });
        Ok(Self { serving, consuming, writing, relaying, probing, database })
    }

    async fn drain(self, limit: Duration) {
        let end = Instant::now() + limit;
        for part in [&self.serving, &self.consuming, &self.writing, &self.relaying, &self.probing] {
            // A part that hangs leaves half of the time to the others.
            part.stop(end.saturating_duration_since(Instant::now()) / 2).await;
        }
        self.database.close().await;
    }
}
