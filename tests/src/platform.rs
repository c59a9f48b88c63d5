//! The whole platform: three servers, two services.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, Result};
use devstack::{KafkaDoor, Stack, StackOptions};
use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;

use crate::folder::DataFolder;
use crate::service::{Part, Service};
use crate::shop::Shop;
use crate::state::State;

/// Servers and services of their own, on free ports, with their data in a folder that ends with them.
pub struct Platform {
    /// The order service.
    pub orders: Service,
    /// The inventory service.
    pub inventory: Service,
    /// The servers, to be broken.
    pub stack: Stack,
    program: PathBuf,
    base: [BTreeMap<String, String>; 2],
    folder: DataFolder,
}

impl Platform {
    /// Starts everything and returns when both services are ready. `settings` go to both services. Call it on a runtime
    /// that lives as long as the platform: substitutes of servers run on it.
    ///
    /// # Errors
    /// A server or a folder can't be had.
    pub async fn start(program: &Path, settings: &[(&str, &str)]) -> Result<Self> {
        Self::start_with_doors(program, settings, Vec::new()).await
    }

    /// The same, with further ways into Kafka.
    ///
    /// # Errors
    /// A server or a folder can't be had.
    pub async fn start_with_doors(program: &Path, settings: &[(&str, &str)], doors: Vec<KafkaDoor>) -> Result<Self> {
        let folder = DataFolder::make()?;
        let stack = start_servers(folder.path(), doors).await?;
        let environment = |part: Part| {
            let mut environment = BTreeMap::from([
                ("DATABASE_URL".to_owned(), stack.postgres.database_url(part.database())),
                ("KAFKA_BOOTSTRAP_SERVERS".to_owned(), stack.kafka.bootstrap_servers().to_owned()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT".to_owned(), stack.traces.otlp_endpoint().to_owned()),
            ]);
            environment.extend(settings.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())));
            environment
        };
        for part in [Part::Orders, Part::Inventory] {
            stack.postgres.create_database(part.database()).await?;
        }
        let inventory =
            Service::new(program, Part::Inventory, environment(Part::Inventory), folder.path(), "inventory-svc");
        let mut orders = Service::new(program, Part::Orders, environment(Part::Orders), folder.path(), "order-svc");
        orders.set("INVENTORY_ENDPOINTS", inventory.address());
        let base = [orders.environment().clone(), inventory.environment().clone()];
        let mut platform = Self { orders, inventory, stack, program: program.to_owned(), base, folder };
        platform.inventory.start();
        platform.orders.start();
        platform.inventory.ready().await;
        platform.orders.ready().await;
        Ok(platform)
    }

    /// Makes good what a test has left: both services run with the settings of the beginning.
    pub async fn heal(&mut self) {
        let [orders, inventory] = &self.base;
        for (service, base) in [(&mut self.inventory, inventory), (&mut self.orders, orders)] {
            if service.is_running() && service.environment() != base {
                service.kill();
            }
            let added: Vec<String> =
                service.environment().keys().filter(|name| !base.contains_key(*name)).cloned().collect();
            for name in added {
                service.unset(&name);
            }
            for (name, value) in base {
                service.set(name, value.clone());
            }
            if !service.is_running() {
                service.start();
            }
            service.ready().await;
        }
    }

    /// One of the two services.
    pub fn service(&mut self, part: Part) -> &mut Service {
        match part {
            Part::Orders => &mut self.orders,
            Part::Inventory => &mut self.inventory,
        }
    }

    /// One more replica of a service, not started yet.
    #[must_use]
    pub fn replica(&self, part: Part, name: &str) -> Service {
        let [orders, inventory] = &self.base;
        let environment = match part {
            Part::Orders => orders,
            Part::Inventory => inventory,
        };
        Service::new(&self.program, part, environment.clone(), self.folder.path(), name)
    }

    /// A caller of both services, with a customer id and SKUs of its own.
    #[must_use]
    pub fn shop(&self) -> Shop {
        Shop::new(self.orders.orders(), self.inventory.inventory())
    }

    /// Connections to a service's database. They belong to the runtime of the caller.
    ///
    /// # Panics
    /// When the URL is none, which devstack does not hand out.
    #[must_use]
    pub fn database(&self, part: Part) -> PgPool {
        PgPoolOptions::new()
            .max_connections(2)
            .connect_lazy(&self.stack.postgres.database_url(part.database()))
            .expect("devstack hands out URLs")
    }

    /// Where everything of it is: data of the servers, logs.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where Kafka is.
    #[must_use]
    pub fn kafka(&self) -> &str {
        self.stack.kafka.bootstrap_servers()
    }

    /// Everything that the database server has logged since it was started last.
    #[must_use]
    pub fn postgres_log(&self) -> String {
        let bytes = fs::read(self.folder.path().join("postgres.log")).expect("devstack keeps the log there");
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Where it keeps what it knows. The connections belong to the runtime of the caller.
    #[must_use]
    pub fn state(&self) -> State {
        State::new(self.database(Part::Orders), self.database(Part::Inventory), self.kafka())
    }

    /// Waits until there is nothing left to do: both outboxes are empty, and both consumers have committed everything.
    ///
    /// # Panics
    /// When that is not within `limit`.
    pub async fn quiet(&self, limit: Duration) {
        self.rests(limit).await.unwrap_or_else(|problem| panic!("{problem:#}"));
    }

    /// The same, for whoever has more to say about it.
    ///
    /// # Errors
    /// What is left to do after `limit`.
    pub async fn rests(&self, limit: Duration) -> Result<()> {
        self.state().rests(limit).await
    }

    /// Shows what the services said last; for tests that fail.
    pub fn show_logs(&self) {
        for (name, service) in [("inventory-svc", &self.inventory), ("order-svc", &self.orders)] {
            eprintln!("---- the end of the log of {name}:\n{}", service.last_lines());
        }
    }
}

async fn start_servers(folder: &Path, doors: Vec<KafkaDoor>) -> Result<Stack> {
    let mut options = StackOptions::new(folder);
    options.kafka_doors = doors;
    // Faults can be done to servers of our own only.
    options.sources.postgres_url = None;
    options.sources.kafka_bootstrap_servers = None;
    options.sources.otlp_endpoint = None;
    options.sources.jaeger_url = None;
    let stack = Stack::start(&options).await.context("the servers of the tests")?;
    for (part, description) in stack.descriptions() {
        eprintln!("{part}: {description}");
    }
    Ok(stack)
}
