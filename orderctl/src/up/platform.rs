//! What runs: the servers, both services, and how they are started and stopped in order.

use std::path::{Path, PathBuf};

use anyhow::Context as _;
use devstack::{Sources, Stack, StackOptions};

use super::ports::Ports;
use super::screen::Screen;
use super::service::Service;
use crate::cli::Part;
use crate::client::Address;

const ORDERS_DATABASE: &str = "orders";
const INVENTORY_DATABASE: &str = "inventory";
/// Spans leave a service after this time at the latest, so that the first trace is whole soon.
const SPAN_DELAY_MS: &str = "200";

/// Everything that `up` started. Parts come one by one; [`Platform::stop`] ends those that are there.
#[derive(Default)]
pub(super) struct Platform {
    stack: Option<Stack>,
    inventory: Option<Service>,
    orders: Option<Service>,
    /// Whether the first order and its trace were shown: from then on, Ctrl-C is the usual end.
    pub(super) is_whole: bool,
}

/// The addresses that a person may want.
#[derive(Debug, Clone)]
pub(super) struct Addresses {
    pub(super) orders: Address,
    pub(super) inventory: Address,
    pub(super) jaeger: String,
    pub(super) otlp: String,
    pub(super) kafka: String,
    pub(super) orders_database: String,
    pub(super) inventory_database: String,
    pub(super) data: PathBuf,
    pub(super) ports: Ports,
}

/// Names of the ports (as `--ports` calls them) that belong to servers which run elsewhere.
pub(super) fn ports_in_use_elsewhere(sources: &Sources) -> Vec<&'static str> {
    let mut unused = Vec::new();
    if sources.postgres_url.is_some() {
        unused.push("postgres");
    }
    if sources.kafka_bootstrap_servers.is_some() {
        unused.push("kafka");
    }
    if sources.otlp_endpoint.is_some() {
        unused.extend(["otlp", "jaeger"]);
    }
    unused
}

impl Platform {
    /// Starts the servers side by side and makes the databases.
    ///
    /// # Errors
    /// A server does not come up; the text says which and why.
    pub(super) async fn start_stack(
        &mut self,
        data: &Path,
        ports: Ports,
        screen: &Screen,
    ) -> anyhow::Result<Addresses> {
        let listener = screen.clone();
        let mut options =
            StackOptions::new(data).on_progress(move |progress| listener.working(progress.part, progress.message));
        options.ports = devstack::Ports {
            postgres: Some(ports.postgres),
            kafka: Some(ports.kafka),
            otlp: Some(ports.otlp),
            jaeger_query: Some(ports.jaeger),
        };
        for part in ["postgres", "kafka", "traces"] {
            screen.working(part, "starting");
        }
        let stack = self.stack.insert(Stack::start(&options).await?);
        for (part, description) in stack.descriptions() {
            screen.ready(part, description);
        }
        let address = |port: u16| format!("127.0.0.1:{port}").parse::<Address>().map_err(anyhow::Error::msg);
        tokio::try_join!(
            stack.postgres.create_database(ORDERS_DATABASE),
            stack.postgres.create_database(INVENTORY_DATABASE),
        )?;
        Ok(Addresses {
            orders: address(ports.orders)?,
            inventory: address(ports.inventory)?,
            jaeger: stack.traces.query_url().to_owned(),
            otlp: stack.traces.otlp_endpoint().to_owned(),
            kafka: stack.kafka.bootstrap_servers().to_owned(),
            orders_database: stack.postgres.tcp_database_url(ORDERS_DATABASE),
            inventory_database: stack.postgres.tcp_database_url(INVENTORY_DATABASE),
            data: data.to_owned(),
            ports,
        })
    }

    /// The parts that are not the real thing, in a sentence each.
    pub(super) fn substitutes(&self) -> Vec<&'static str> {
        let Some(stack) = &self.stack else { return Vec::new() };
        let mut substitutes = Vec::new();
        if stack.postgres.is_substitute() {
            substitutes
                .push("Postgres is an embedded one from Maven Central; install PostgreSQL's server for your own");
        }
        if stack.kafka.is_substitute() {
            substitutes
                .push("Kafka is a MOCK broker in memory: events are lost at the end; install Java and Maven for Kafka");
        }
        if stack.traces.is_substitute() {
            substitutes
                .push("Jaeger is a SUBSTITUTE that keeps the last traces; set JAEGER_BIN or put jaeger on the PATH");
        }
        substitutes
    }

    /// Starts both services and returns when both are ready.
    ///
    /// # Errors
    /// One ends or does not get ready; the text has the end of its log.
    pub(super) async fn start_services(&mut self, at: &Addresses, screen: &Screen) -> anyhow::Result<()> {
        let stack = self.stack.as_ref().context("the servers come first")?;
        let logs = at.data.join("logs");
        std::fs::create_dir_all(&logs).with_context(|| format!("{} can't be made", logs.display()))?;
        let common = |database: &str, grpc: u16, admin: u16| {
            vec![
                ("DATABASE_URL", stack.postgres.database_url(database)),
                ("KAFKA_BOOTSTRAP_SERVERS", at.kafka.clone()),
                ("GRPC_LISTEN", format!("127.0.0.1:{grpc}")),
                ("ADMIN_LISTEN", format!("127.0.0.1:{admin}")),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", at.otlp.clone()),
                ("OTEL_BSP_SCHEDULE_DELAY", SPAN_DELAY_MS.to_owned()),
                ("LOG_FORMAT", "json".to_owned()),
            ]
        };
        let inventory_environment = common(INVENTORY_DATABASE, at.ports.inventory, at.ports.inventory_admin);
        let mut orders_environment = common(ORDERS_DATABASE, at.ports.orders, at.ports.orders_admin);
        orders_environment.push(("INVENTORY_ENDPOINTS", at.inventory.to_string()));
        let inventory = self.inventory.insert(Service::start(Part::Inventory, &inventory_environment, &logs)?);
        let orders = self.orders.insert(Service::start(Part::Order, &orders_environment, &logs)?);
        let ready = async |service: &mut Service, admin: u16, address: &Address| {
            screen.working(service.name, "starting");
            service.wait_ready(admin).await?;
            screen.ready(service.name, format!("gRPC on {address}"));
            anyhow::Ok(())
        };
        tokio::try_join!(
            ready(inventory, at.ports.inventory_admin, &at.inventory),
            ready(orders, at.ports.orders_admin, &at.orders),
        )?;
        Ok(())
    }

    /// Waits until a service ends, which none should. Cancel-safe.
    pub(super) async fn service_ended(&mut self) -> anyhow::Error {
        let ended = async |service: &mut Option<Service>| match service {
            Some(service) => service.ended().await,
            None => std::future::pending().await,
        };
        tokio::select! {
            error = ended(&mut self.orders) => error,
            error = ended(&mut self.inventory) => error,
        }
    }

    /// Ends everything: order-svc while its peer still answers, then inventory-svc, then the servers. What fails is
    /// reported and the rest goes on.
    pub(super) async fn stop(&mut self) -> Vec<anyhow::Error> {
        let mut failures = Vec::new();
        for service in [&mut self.orders, &mut self.inventory].into_iter().flatten() {
            if let Err(error) = service.stop().await {
                failures.push(error);
            }
        }
        if let Some(stack) = self.stack.take()
            && let Err(error) = stack.stop().await
        {
            failures.push(error);
        }
        failures
    }

    /// Ends both services at once; the servers end with this process.
    pub(super) fn kill(&mut self) {
        for service in [&mut self.orders, &mut self.inventory].into_iter().flatten() {
            service.kill();
        }
    }
}
