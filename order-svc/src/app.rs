use std::sync::Arc;
use std::time::{Duration, Instant};

use messaging::relay::{Relay, RelayWaker};
use messaging::{consumer, kafka_probe};
use postgres::{Database, Writer};
use proto::orders::v1::order_service_server::{OrderServiceServer, SERVICE_NAME};
use proto::topics;
use runtime::bootstrap::{RuntimeHandle, Service, StartError};
use runtime::settings::SettingsReader;
use runtime::tasks::TaskGroup;
use tonic::service::Routes;
use transport::error::ErrorDomain;
use transport::server::{Authentication, Business};

use crate::admission::Admission;
use crate::events::StockEvents;
use crate::grpc::OrderApi;
use crate::inventory::InventoryClient;
use crate::news::News;
use crate::settings::OrderSettings;
use crate::store::OrderStore;
use crate::store::reads::Lookups;
use crate::sweep::Sweep;
use crate::use_cases::Orders;

/// The running service. Its parts stop in the order of the fields.
#[derive(Debug)]
pub struct OrderService {
    serving: TaskGroup,
    consuming: TaskGroup,
    writing: TaskGroup,
    relaying: TaskGroup,
    probing: TaskGroup,
    database: Database,
}

impl Service for OrderService {
    const NAME: &'static str = topics::ORDER_SERVICE;
    const ABOUT: &'static str = "Takes orders and owns their life cycle.";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRPC_LISTEN: &'static str = "0.0.0.0:50051";
    const ADMIN_LISTEN: &'static str = "0.0.0.0:9464";
    const HTTP_LISTEN: &'static str = "0.0.0.0:8080";

    type Settings = OrderSettings;

    fn read_settings(reader: &mut SettingsReader) -> OrderSettings {
        OrderSettings::read(reader, Self::GRPC_LISTEN)
    }

    async fn start(settings: OrderSettings, runtime: RuntimeHandle) -> Result<Self, StartError> {
        let group = |name| TaskGroup::new(name, &runtime.supervisor);
        let (serving, consuming, writing) = (group("grpc"), group("consumer"), group("writer"));
        let (relaying, probing) = (group("relay"), group("probes"));
        let listener = transport::server::bind(&settings.server).await?;

        let database = Database::connect_lazily(settings.database, Self::NAME);
        let ready = database.watch(crate::migrations(), &runtime.health, &probing);
        kafka_probe::watch(&settings.kafka, &runtime.health, &probing)?;

        let (waker, news) = (RelayWaker::default(), Arc::new(News::default()));
        let store = OrderStore::new(waker.clone(), Arc::clone(&news), settings.sweep_after);
        let writer = Writer::start(Arc::new(store.clone()), &database, &writing);
        let inventory = InventoryClient::connect(&settings.inventory, &runtime.health, &probing);
        let lookups = Lookups::start(&database, &writing);
        let admission = Admission::watch(database.clone(), settings.admission, &probing);
        let orders = Orders::new(database.clone(), writer, lookups, admission, inventory, news, serving.stop_token());

        let kafka = settings.kafka;
        let relay = Relay::start(kafka.clone(), Self::NAME, database.clone(), waker, ready.clone(), &relaying);
        let (pause, leading) = (settings.sweep_after, relay.leading());
        Sweep { database: database.clone(), orders: orders.clone(), pause, leading }.start(&consuming);
        let events = StockEvents::new(store);
        consumer::start(kafka, topics::INVENTORY, Self::NAME, events, database.clone(), ready, &consuming);

        let (health, stop) = (runtime.health, serving.stop_token());
        let api = OrderServiceServer::new(OrderApi::new(orders, stop.clone()))
            .max_decoding_message_size(settings.server.max_message_bytes)
            .max_encoding_message_size(settings.server.max_answer_bytes);
        let business = Business {
            routes: Routes::new(api),
            names: &[SERVICE_NAME],
            domain: ErrorDomain::ORDERS,
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
