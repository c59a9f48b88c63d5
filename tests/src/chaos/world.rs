//! The platform of a run: replicas, proxies, and how faults are done to them.

use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};
use devstack::KafkaDoor;
use proto::topics;
use rustix::process::Signal;
use sqlx::PgPool;

use super::fault::{Edge, Fault, Replica};
use crate::audit::dead_letters::Places;
use crate::kafka::{self, Record};
use crate::platform::Platform;
use crate::ports;
use crate::proxy::{Proxy, Weather};
use crate::service::{Part, Service};
use crate::shop::Shop;

/// How long a replica may take to reach the point that it is to die at.
const CRASH_LIMIT: Duration = Duration::from_secs(20);
const LOOK: Duration = Duration::from_millis(20);

/// What a fault can be done to.
pub struct World {
    /// With the first replica of each service.
    pub platform: Platform,
    /// Where bad records lie that were put into the topics.
    pub poison: Places,
    more_orders: Vec<Service>,
    more_inventory: Vec<Service>,
    edges: Vec<(&'static str, Proxy)>,
    databases: [PgPool; 2],
}

impl World {
    /// Starts everything; with `proxies`, on every connection of the services.
    ///
    /// # Errors
    /// A server can't be had.
    pub async fn start(program: &Path, replicas: usize, proxies: bool) -> Result<Self> {
        let doors = [(); 2].map(|()| ports::free());
        let brokers = doors.map(Proxy::to);
        let kafka_doors: Vec<KafkaDoor> =
            brokers.iter().zip(doors).map(|(proxy, port)| KafkaDoor { port, advertised: proxy.port }).collect();
        let kafka_doors = if proxies { kafka_doors } else { Vec::new() };
        // Traces are not what is looked at here, and Jaeger keeps them in memory.
        let settings = [
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.01"),
            // The sweep would hide an event that got lost.
            ("SWEEP_AFTER", "10m"),
        ];
        let platform = Platform::start_with_doors(program, &settings, kafka_doors).await?;
        let replica = |part: Part, name: &str| {
            (1..replicas).map(|number| platform.replica(part, &format!("{name}-{number}"))).collect()
        };
        let (more_orders, more_inventory) =
            (replica(Part::Orders, "order-svc"), replica(Part::Inventory, "inventory-svc"));
        let databases = [Part::Orders, Part::Inventory].map(|part| platform.database(part));
        let (poison, edges) = (Places::new(), Vec::new());
        let mut world = Self { platform, poison, more_orders, more_inventory, edges, databases };
        let inventories: Vec<u16> = world.all(Part::Inventory).map(|service| service.grpc_port).collect();
        let mut endpoints = inventories.clone();
        if proxies {
            endpoints = world.put_proxies(brokers, &inventories).await;
        }
        let endpoints: Vec<String> = endpoints.into_iter().map(|port| format!("http://127.0.0.1:{port}")).collect();
        for service in world.all(Part::Orders) {
            service.set("INVENTORY_ENDPOINTS", endpoints.join(","));
        }
        for part in [Part::Inventory, Part::Orders] {
            for service in world.all(part) {
                if service.is_running() {
                    service.stop().await;
                }
                service.start();
            }
        }
        world.ready().await;
        Ok(world)
    }

    /// Puts a proxy on each connection, and returns where inventory is now reached.
    async fn put_proxies(&mut self, brokers: [Proxy; 2], inventories: &[u16]) -> Vec<u16> {
        let [orders_broker, inventory_broker] = brokers;
        let postgres = port_of(&self.platform.stack.postgres.tcp_database_url("orders"));
        let traces = port_of(self.platform.stack.traces.otlp_endpoint());
        let names = [
            (Part::Orders, "order-svc to kafka", orders_broker, "order-svc to postgres", "order-svc to jaeger"),
            (
                Part::Inventory,
                "inventory-svc to kafka",
                inventory_broker,
                "inventory-svc to postgres",
                "inventory-svc to jaeger",
            ),
        ];
        for (part, to_kafka, broker, to_postgres, to_traces) in names {
            let (database, spans) = (Proxy::to(postgres), Proxy::to(traces));
            let settings = [
                ("KAFKA_BOOTSTRAP_SERVERS", format!("127.0.0.1:{}", broker.port)),
                ("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{}/{}", database.port, part.database())),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", spans.port)),
            ];
            for service in self.all(part) {
                for (name, value) in &settings {
                    service.set(name, value.clone());
                }
            }
            for (name, proxy) in [(to_kafka, broker), (to_postgres, database), (to_traces, spans)] {
                self.edges.push((name, proxy));
            }
        }
        let mut endpoints = Vec::new();
        for port in inventories {
            let proxy = Proxy::to(*port);
            endpoints.push(proxy.port);
            self.edges.push(("order-svc to inventory-svc", proxy));
        }
        for (_, proxy) in &mut self.edges {
            proxy.open().await;
        }
        endpoints
    }

    /// Of each service.
    #[must_use]
    pub fn replicas(&self) -> usize {
        1 + self.more_orders.len()
    }

    /// Connections that faults can be done to.
    #[must_use]
    pub fn edges(&self) -> usize {
        self.edges.len()
    }

    /// A customer at each replica of the order service.
    #[must_use]
    pub fn shops(&self) -> Vec<Shop> {
        let shop = self.platform.shop();
        let others = self.more_orders.iter().map(|other| Shop { orders: other.orders(), ..shop.clone() });
        std::iter::once(shop.clone()).chain(others).collect()
    }

    /// Age in seconds of the oldest event that no relay has published yet, of either service.
    ///
    /// # Errors
    /// A database does not answer.
    pub async fn oldest_event(&self) -> Result<f64> {
        let mut oldest: f64 = 0.0;
        for database in &self.databases {
            let age: Option<f64> = sqlx::query_scalar(
                "select extract(epoch from clock_timestamp() - event_times[1])::float8 from outbox order by id limit 1",
            )
            .fetch_optional(database)
            .await?;
            oldest = oldest.max(age.unwrap_or_default());
        }
        Ok(oldest)
    }

    /// Does it. What lasts for a while has lasted when this returns.
    ///
    /// # Errors
    /// A server does not do as it is told.
    pub async fn inflict(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill(replica) => self.service(*replica).kill(),
            Fault::KillKafka(away) => {
                self.platform.stack.kafka.kill().await?;
                tokio::time::sleep(*away).await;
            }
            Fault::KillPostgres => self.platform.stack.postgres.kill().await?,
            Fault::Freeze(replica, time) => {
                self.service(*replica).signal(Signal::STOP);
                tokio::time::sleep(*time).await;
            }
            Fault::Crash(replica, point, times) => {
                let service = self.service(*replica);
                service.kill();
                service.set("FAULTS", format!("crash:{}@{times}", point.name()));
                service.start();
                let begun = std::time::Instant::now();
                while service.is_running() && begun.elapsed() < CRASH_LIMIT {
                    tokio::time::sleep(LOOK).await;
                }
                service.kill();
                service.unset("FAULTS");
            }
            Fault::Cut(edge) => self.edges[edge.number].1.cut(),
            Fault::Storm(edge, weather, time) => {
                self.edges[edge.number].1.set(*weather);
                tokio::time::sleep(*time).await;
            }
            Fault::Closed(edge, time) => {
                self.edges[edge.number].1.close().await;
                tokio::time::sleep(*time).await;
            }
            Fault::Poison(count) => self.produce_poison(*count).await,
        }
        Ok(())
    }

    /// Makes it good.
    ///
    /// # Errors
    /// A server does not come up again.
    pub async fn heal(&mut self, fault: &Fault) -> Result<()> {
        match fault {
            Fault::Kill(replica) | Fault::Crash(replica, ..) => self.service(*replica).start(),
            Fault::KillKafka(_) => self.platform.stack.kafka.restart().await.context("kafka")?,
            Fault::KillPostgres => self.platform.stack.postgres.restart().await.context("postgres")?,
            Fault::Freeze(replica, _) => self.service(*replica).signal(Signal::CONT),
            Fault::Storm(edge, ..) => self.edges[edge.number].1.set(Weather::Clear),
            Fault::Closed(edge, _) => self.edges[edge.number].1.open().await,
            Fault::Cut(_) | Fault::Poison(_) => {}
        }
        Ok(())
    }

    /// One of them.
    #[must_use]
    pub fn edge(&self, number: usize) -> Edge {
        Edge { number, name: self.edges[number].0 }
    }

    /// Waits until every service says that it is ready.
    pub async fn ready(&mut self) {
        for part in [Part::Inventory, Part::Orders] {
            for service in self.all(part) {
                service.ready().await;
            }
        }
    }

    /// Garbage with all kinds of keys and headers.
    async fn produce_poison(&mut self, count: u8) {
        for topic in [topics::ORDERS, topics::INVENTORY] {
            for number in 0..count {
                let headers =
                    if number % 2 == 0 { Vec::new() } else { vec![("ce_type".to_owned(), Some(vec![number]))] };
                let record = Record {
                    partition: i32::from(number) % topics::PARTITIONS,
                    key: None,
                    value: Some(vec![0xff, number]),
                    headers,
                    ..Record::default()
                };
                let (partition, offset) = kafka::produce(self.platform.kafka(), topic, &record).await;
                self.poison.insert((topic.to_owned(), partition, offset));
            }
        }
    }

    fn service(&mut self, (part, number): Replica) -> &mut Service {
        self.all(part).nth(number).expect("faults are drawn for replicas that there are")
    }

    fn all(&mut self, part: Part) -> impl Iterator<Item = &mut Service> {
        let (first, more) = match part {
            Part::Orders => (&mut self.platform.orders, &mut self.more_orders),
            Part::Inventory => (&mut self.platform.inventory, &mut self.more_inventory),
        };
        std::iter::once(first).chain(more)
    }
}

/// The port of a URL on loopback.
fn port_of(url: &str) -> u16 {
    let (_, rest) = url.rsplit_once(':').expect("devstack's URLs have ports");
    let port = rest.split('/').next().unwrap_or_default();
    port.parse().expect("devstack's URLs have ports")
}
