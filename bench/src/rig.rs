//! The platform and pgbench on one machine and one Postgres, one of them at work at a time.
//!
//! While pgbench is measured the services are stopped, and before each of ours they are started again and warmed up;
//! Kafka and Jaeger stay, idle. Each measurement begins with a probe of the disk and a checkpoint, so that no side writes
//! the full pages that the other's checkpoint asks for.

use std::time::Instant;

use anyhow::{Context as _, Result, ensure};
use figures::load::LoadReport;
use figures::pgbench::PgbenchReport;
use proto::google::r#type::Money;
use proto::inventory::v1::ImportStockRequest;
use proto::orders::v1::{Order, OrderStatus};
use serde::Serialize;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::platform::Platform;
use tests::service::Part;

use crate::cost::{self, Cost, Readings, float};
use crate::disk;
use crate::drain::Drain;
use crate::load::Load;
use crate::options::{Benchmark, Options};
use crate::pgbench::{self, Pgbench, Script};

/// SKUs of both sides: numbers, because pgbench draws numbers and need not make texts of them. As in `scripts/`.
const SKUS: std::ops::RangeInclusive<u32> = 10_000_001..=10_010_000;
/// The one that everybody wants.
pub(crate) const HOT_SKU: &str = "10000001";
/// Of each SKU: never sold out.
const UNITS: i64 = 1_000_000_000;

/// Everything that runs, and the meters.
pub(crate) struct Rig {
    pub(crate) options: Options,
    pub(crate) platform: Platform,
    pgbench: Option<Pgbench>,
    drain: Drain,
    connection: PgConnection,
    life: Option<Life>,
    /// How long each start of the services took, warm-up included, in seconds.
    pub(crate) restarts: Vec<f64>,
}

/// What stood on the meters before the services were started.
struct Life {
    fsyncs: Option<f64>,
    confirmed: u64,
}

/// A measurement of PlaceOrder.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Placed {
    /// CONFIRMED orders by the time from the first call until outboxes and lag were 0 again.
    pub(crate) per_second: f64,
    /// CONFIRMED answers by the time of the load alone.
    pub(crate) answered_per_second: f64,
    /// From the last answer until outboxes and lag were 0 again.
    pub(crate) drain_seconds: f64,
    pub(crate) confirmed: u64,
    pub(crate) fsync_milliseconds: f64,
    pub(crate) report: LoadReport,
    pub(crate) cost: Cost,
}

/// A measurement of pgbench.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Pgbenched {
    pub(crate) fsync_milliseconds: f64,
    #[serde(flatten)]
    pub(crate) report: PgbenchReport,
    pub(crate) cost: Cost,
}

impl Rig {
    /// Starts the platform, imports the stock, and warms the services up.
    pub(crate) async fn start(options: Options) -> Result<Self> {
        // As in production; every other setting has its default.
        let mut settings =
            vec![("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0.01")];
        settings.extend(options.settings.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        let program = std::env::current_exe().context("this program can't find its own file")?;
        let platform = Platform::start(&program, &settings).await?;
        let stack = &platform.stack;
        let substitute = stack.kafka.is_substitute() || stack.traces.is_substitute();
        ensure!(
            !substitute,
            "benchmarks need the real Kafka and Jaeger; the README of the project says how to get them"
        );
        let with_pgbench = options.wants(Benchmark::Place) || options.wants(Benchmark::Hot);
        let pgbench = if with_pgbench { Some(Pgbench::set_up(&platform).await?) } else { None };
        progress("importing 10,000 SKUs");
        import(&platform).await;
        let drain = Drain::connect(&platform).await?;
        let connection = PgConnection::connect(&stack.postgres.database_url(Part::Orders.database())).await?;
        let life = Some(Life { fsyncs: None, confirmed: 0 });
        let mut rig = Self { options, platform, pgbench, drain, connection, life, restarts: Vec::new() };
        rig.warm_up().await?;
        rig.analyze().await?;
        Ok(rig)
    }

    /// Measures PlaceOrder, on one SKU or on all.
    pub(crate) async fn place(&mut self, sku: Option<&str>) -> Result<Placed> {
        self.place_by("place", sku).await
    }

    /// Measures a way of placing orders, as `orderctl load` calls it.
    pub(crate) async fn place_by(&mut self, call: &str, sku: Option<&str>) -> Result<Placed> {
        self.services_up().await?;
        let fsync_milliseconds = self.even_out().await?;
        let confirmed_before = confirmed(&mut self.connection).await?;
        let before = Readings::take(&self.platform, &mut self.connection).await?;
        let (report, answered) = self.load(call, sku, self.options.callers, self.options.seconds).await?;
        let done = self.drain.wait().await?;
        let after = Readings::take(&self.platform, &mut self.connection).await?;
        let confirmed = confirmed(&mut self.connection).await? - confirmed_before;
        ensure!(confirmed > 0, "no order was confirmed: {report:?}");
        let drain_seconds = done.saturating_duration_since(answered).as_secs_f64();
        Ok(Placed {
            per_second: float(confirmed) / (report.seconds + drain_seconds),
            answered_per_second: float(report.answered("CONFIRMED")) / report.seconds,
            drain_seconds,
            confirmed,
            fsync_milliseconds,
            report,
            cost: after.per_order(&before, confirmed),
        })
    }

    /// Runs the load generator against the platform.
    pub(crate) async fn load(
        &self,
        call: &str,
        sku: Option<&str>,
        callers: u32,
        seconds: u32,
    ) -> Result<(LoadReport, Instant)> {
        let (orders, inventory) = (&self.platform.orders.address(), &self.platform.inventory.address());
        let (report, answered) = Load { orders, inventory, call, sku, callers, seconds, rate: None }.run().await?;
        if report.failed() > 0 || report.answered("PENDING") > 0 {
            progress(&format!("not all was well: answers {:?}, failures {:?}", report.answers, report.failures));
        }
        Ok((report, answered))
    }

    /// An order like those of the load.
    pub(crate) async fn confirmed_order(&self) -> Order {
        let mut shop = self.platform.shop();
        let order = shop.place(&[(HOT_SKU, 1)]).await;
        shop.becomes(&order.order_id, OrderStatus::Confirmed, 30).await
    }

    /// Measures one of pgbench's scripts.
    pub(crate) async fn pgbench(&mut self, script: Script) -> Result<Pgbenched> {
        self.services_down().await?;
        let pgbench = self.pgbench.clone().context("pgbench was set up for those who want it")?;
        pgbench.run(&self.platform, script, self.options.warm_up_seconds()).await?;
        pgbench::clients_are_gone(&mut self.connection, script).await?;
        let orders_before = pgbench::orders(&self.platform, script).await?;
        let fsync_milliseconds = self.even_out().await?;
        let fsyncs_before = cost::fsyncs(&mut self.connection).await?;
        let before = Readings::take(&self.platform, &mut self.connection).await?;
        let report = pgbench.run(&self.platform, script, self.options.seconds).await?;
        pgbench::clients_are_gone(&mut self.connection, script).await?;
        let after = Readings::take(&self.platform, &mut self.connection).await?;
        let fsyncs = cost::fsyncs(&mut self.connection).await?;
        let orders = pgbench::orders(&self.platform, script).await? - orders_before;
        let transactions = report.transactions;
        ensure!(transactions > 0, "pgbench committed nothing");
        ensure!(
            orders == transactions * script.orders_of_each(),
            "pgbench made {orders} orders in {transactions} transactions"
        );
        let fsyncs = fsyncs.zip(fsyncs_before).map(|(now, then)| (now - then) / float(transactions));
        let cost = Cost { fsyncs, ..after.per_order(&before, transactions) };
        Ok(Pgbenched { fsync_milliseconds, report, cost })
    }

    /// Starts the services unless they run, and warms them up.
    pub(crate) async fn services_up(&mut self) -> Result<()> {
        if self.life.is_some() {
            return Ok(());
        }
        let begun = Instant::now();
        let (fsyncs, confirmed) = (cost::fsyncs(&mut self.connection).await?, confirmed(&mut self.connection).await?);
        self.platform.inventory.start();
        self.platform.orders.start();
        self.platform.inventory.ready().await;
        self.platform.orders.ready().await;
        self.warm_up().await?;
        self.life = Some(Life { fsyncs, confirmed });
        self.restarts.push(begun.elapsed().as_secs_f64());
        Ok(())
    }

    /// Stops the services if they run, and returns the fsyncs per order of their life, warm-up included.
    pub(crate) async fn services_down(&mut self) -> Result<Option<f64>> {
        let Some(life) = self.life.take() else { return Ok(None) };
        // order-svc first, while what it calls still answers.
        self.platform.orders.stop().await;
        self.platform.inventory.stop().await;
        let orders = confirmed(&mut self.connection).await?.saturating_sub(life.confirmed);
        let fsyncs = cost::fsyncs(&mut self.connection).await?;
        Ok(fsyncs.zip(life.fsyncs).map(|(now, then)| (now - then) / float(orders.max(1))))
    }

    /// The probe of the disk, in milliseconds, then a checkpoint.
    pub(crate) async fn even_out(&mut self) -> Result<f64> {
        let fsync = disk::fsync_milliseconds(self.platform.folder())?;
        self.connection.execute("checkpoint").await.context("checkpoint")?;
        Ok(fsync)
    }

    /// Waits until everything is done that a load has left behind.
    pub(crate) async fn drained(&mut self) -> Result<()> {
        self.drain.wait().await.map(|_| ())
    }

    async fn warm_up(&mut self) -> Result<()> {
        self.load("place", None, self.options.callers, self.options.warm_up_seconds()).await?;
        self.drained().await
    }

    /// Once, as autovacuum would have done long ago. Not the tables that are empty at rest: plans for an empty table are
    /// bad ones for a full one.
    async fn analyze(&mut self) -> Result<()> {
        self.connection.execute("vacuum analyze orders").await?;
        let url = self.platform.stack.postgres.database_url(Part::Inventory.database());
        let mut inventory = PgConnection::connect(&url).await?;
        inventory.execute("vacuum analyze stock").await?;
        inventory.execute("vacuum analyze reservations").await?;
        Ok(inventory.close().await?)
    }
}

/// CONFIRMED orders that there are.
async fn confirmed(connection: &mut PgConnection) -> Result<u64> {
    let count: i64 = sqlx::query_scalar("select count(*) from orders where status = 2").fetch_one(connection).await?;
    Ok(count.unsigned_abs())
}

async fn import(platform: &Platform) {
    let row = |number: u32| ImportStockRequest {
        import_id: "bench".to_owned(),
        row: u64::from(number),
        sku: number.to_string(),
        name: format!("article {number}"),
        unit_price: Some(Money { currency_code: "EUR".to_owned(), units: 12, nanos: 500_000_000 }),
        quantity: UNITS,
    };
    let imported = platform.shop().import(SKUS.map(row).collect()).await;
    assert_eq!(imported.rows_applied, 10_000, "{imported:?}");
}

/// A line for whoever waits.
pub(crate) fn progress(line: &str) {
    eprintln!("· {line}");
}
