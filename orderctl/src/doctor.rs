//! `orderctl doctor`: goes through every hop of a running platform and says which one is broken.
//!
//! From the ground up: servers, services, then an order of its own all the way through both services, Kafka and the trace
//! store. A check runs only where everything that it needs is fine, so that a broken hop is named once and what merely
//! follows from it is not. The order is of an article that only the doctor has, of which it brings one unit and takes it
//! away again: no stock of a shop is touched. What stays is a cancelled order.
//!
//! Reading order: `examination` (what a check is and what becomes of it), `check` (all of them by name), `servers`,
//! `services`, `order`, `flow`, `trace`, `graphs`.

mod check;
mod examination;
mod flow;
mod graphs;
mod order;
mod servers;
mod services;
mod trace;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use self::check::Check;
use self::examination::Examination;
use self::flow::Flow;
use crate::cli::{Part, parse_duration, parse_servers};
use crate::client::Address;

/// Find out what is wrong with a running platform
///
/// Checks servers, services, topics and consumers, places an order of an article of its own and cancels
/// it, and follows it into Kafka, the trace store and the metrics. Every address is that of `orderctl up`
/// unless told otherwise. Exit code 1 when something is broken.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  orderctl doctor
  orderctl doctor --prometheus http://127.0.0.1:9090 --dashboards observability/grafana/dashboards
  orderctl doctor --json | jq '.checks[] | select(.status == \"failed\")'"
)]
pub(crate) struct DoctorArguments {
    /// gRPC of the order service
    #[arg(long, env = "ORDERS_ADDRESS", default_value = "http://127.0.0.1:50051", value_name = "URL")]
    orders: Address,
    /// Admin listener of the order service: /readyz and /metrics
    #[arg(long, env = "ORDERS_ADMIN_ADDRESS", default_value = "http://127.0.0.1:9464", value_name = "URL")]
    orders_admin: Address,
    /// Database of the order service, as its DATABASE_URL
    #[arg(
        long,
        env = "ORDERS_DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://postgres@127.0.0.1:15432/orders",
        value_name = "URL"
    )]
    orders_database: String,
    /// gRPC of the inventory service
    #[arg(long, env = "INVENTORY_ADDRESS", default_value = "http://127.0.0.1:50052", value_name = "URL")]
    inventory: Address,
    /// Admin listener of the inventory service
    #[arg(long, env = "INVENTORY_ADMIN_ADDRESS", default_value = "http://127.0.0.1:9465", value_name = "URL")]
    inventory_admin: Address,
    /// Database of the inventory service, as its DATABASE_URL
    #[arg(
        long,
        env = "INVENTORY_DATABASE_URL",
        hide_env_values = true,
        default_value = "postgres://postgres@127.0.0.1:15432/inventory",
        value_name = "URL"
    )]
    inventory_database: String,
    /// Kafka's brokers
    #[arg(
        long,
        env = "KAFKA_BOOTSTRAP_SERVERS",
        default_value = "127.0.0.1:19092",
        value_name = "HOST:PORT,…",
        value_parser = parse_servers
    )]
    kafka: String,
    /// Collector of traces, OTLP over gRPC
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://127.0.0.1:4317", value_name = "URL")]
    otlp: String,
    /// Jaeger's query API
    #[arg(long, env = "JAEGER_URL", default_value = "http://127.0.0.1:16686", value_name = "URL")]
    jaeger: Address,
    /// Prometheus [default: http://127.0.0.1:9090, left out when nothing listens there]
    #[arg(long, env = "PROMETHEUS_URL", value_name = "URL")]
    prometheus: Option<Address>,
    /// Leave Prometheus out, wherever it is
    #[arg(long, conflicts_with_all = ["prometheus", "dashboards"])]
    no_prometheus: bool,
    /// Folder of Grafana dashboards whose every query must return something; the platform has to have had some minutes of load
    #[arg(long, value_name = "DIR")]
    dashboards: Option<PathBuf>,
    /// How long an order, its events and its trace may take to get anywhere, e.g. 500ms, 30s
    #[arg(long, default_value = "20s", value_name = "TIME", value_parser = parse_duration)]
    wait: Duration,
    /// Print the findings as one JSON object
    #[arg(long)]
    json: bool,
}

/// Where one service is.
struct Place<'arguments> {
    part: Part,
    grpc: &'arguments Address,
    admin: &'arguments Address,
    database: &'arguments str,
}

impl DoctorArguments {
    /// Examines the platform and prints what was found.
    ///
    /// # Errors
    /// Standard output can't be written, or this program itself has no threads.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let mut examination = Examination::begin(self.json);
        let places = self.places();

        let mut databases = Vec::new();
        for place in &places {
            databases.push(servers::database(&mut examination, place).await?);
        }
        let brokers = servers::kafka(&mut examination, &self.kafka, self.wait).await?;
        servers::jaeger(&mut examination, &self.jaeger).await?;
        for place in &places {
            services::answers(&mut examination, place).await?;
        }
        for place in &places {
            services::is_healthy(&mut examination, place).await?;
        }

        let mut flow = Flow { databases, brokers, wait: self.wait };
        for place in &places {
            flow.group(&mut examination, place.part).await?;
        }
        let traced = trace::Traced::start(&self.otlp)?;
        let dropped_before = services::dropped_spans(&places).await;
        let order = order::place(&mut examination, &self, &traced).await?;
        for place in &places {
            flow.outbox(&mut examination, place.part, order.as_ref()).await?;
        }
        for place in &places {
            flow.consumer(&mut examination, place.part).await?;
        }
        order::stock_is_back(&mut examination, &self, order.as_ref()).await?;
        traced.send().await?;
        trace::is_whole(&mut examination, &self, &places, &traced, &dropped_before).await?;
        for place in &places {
            services::counts_calls(&mut examination, place).await?;
        }
        if !self.no_prometheus {
            self.examine_graphs(&mut examination, &places).await?;
        }
        traced.stop().await?;
        examination.finish()
    }

    async fn examine_graphs(&self, examination: &mut Examination, places: &[Place<'_>]) -> anyhow::Result<()> {
        let prometheus = graphs::prometheus(examination, self.prometheus.as_ref(), places, self.wait).await?;
        if let Some(folder) = &self.dashboards {
            graphs::dashboards(examination, prometheus.as_ref(), folder).await?;
        }
        Ok(())
    }

    /// Inventory first: order-svc needs it, and not the other way round.
    fn places(&self) -> [Place<'_>; 2] {
        [
            Place {
                part: Part::Inventory,
                grpc: &self.inventory,
                admin: &self.inventory_admin,
                database: &self.inventory_database,
            },
            Place { part: Part::Order, grpc: &self.orders, admin: &self.orders_admin, database: &self.orders_database },
        ]
    }
}

impl Place<'_> {
    fn service(&self) -> &'static str {
        self.part.service()
    }

    /// The options that name its listeners.
    fn options(&self) -> [&'static str; 2] {
        match self.part {
            Part::Order => ["--orders", "--orders-admin"],
            Part::Inventory => ["--inventory", "--inventory-admin"],
        }
    }
}

/// Everything that an order needs before it is placed: one on a platform that is known to be broken would only be left
/// lying about.
fn ready_for_an_order() -> Vec<Check> {
    let of_each = |part| [Check::Schema(part), Check::Answers(part), Check::Healthy(part), Check::Group(part)];
    let mut needs = vec![Check::Topics];
    needs.extend([Part::Inventory, Part::Order].into_iter().flat_map(of_each));
    needs
}
