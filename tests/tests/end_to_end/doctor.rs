//! `orderctl doctor` on a platform that is well, and on one that is ill in one way after the other: it names what is
//! broken, and nothing that only follows from it.

use anyhow::ensure;
use proto::inventory::v1::GetStockRequest;
use rustix::process::Signal;
use serde_json::Value;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::audit;
use tests::gate::Gate;
use tests::orderctl;
use tests::platform::Platform;
use tests::service::Part;
use tests::waiting::{eventually, seconds};
use tests::{kafka, proxy::Proxy};

use crate::support::{PROGRAM, calm, faults};

/// How long a hop may take; those that are broken take it.
const WAIT: &str = "6s";

/// What an examination came to.
struct Examined {
    code: Option<i32>,
    checks: Vec<Value>,
    answer: String,
}

/// Examines the platform; `more` goes behind its addresses, and may name others.
async fn examine(platform: &Platform, more: &[&str]) -> Examined {
    let (orders, inventory) = (&platform.orders, &platform.inventory);
    let stack = &platform.stack;
    let addresses = [
        ("--orders", orders.address()),
        ("--orders-admin", orders.admin_address()),
        ("--orders-database", stack.postgres.tcp_database_url("orders")),
        ("--inventory", inventory.address()),
        ("--inventory-admin", inventory.admin_address()),
        ("--inventory-database", stack.postgres.tcp_database_url("inventory")),
        ("--jaeger", stack.traces.query_url().to_owned()),
    ];
    let mut arguments = vec!["doctor", "--json", "--no-prometheus", "--wait", WAIT];
    for (option, address) in &addresses {
        if !more.contains(option) {
            arguments.extend([option, address.as_str()]);
        }
    }
    arguments.extend(more);
    let called = orderctl::call(PROGRAM, platform, &arguments).await;
    assert_eq!(called.errors, "", "{called:?}");
    let report = called.json();
    assert_eq!(report["healthy"], called.code == Some(0), "{called:?}");
    let checks = report["checks"].as_array().expect("a list of checks").clone();
    assert!(checks.iter().all(|check| check["tookMs"].is_u64()), "{called:?}");
    Examined { code: called.code, checks, answer: called.answer }
}

impl Examined {
    fn with_status(&self, status: &str) -> Vec<&str> {
        let of_status = self.checks.iter().filter(|check| check["status"] == status);
        of_status.filter_map(|check| check["name"].as_str()).collect()
    }

    /// Nothing is broken, and everything was looked at.
    fn is_well(&self) {
        assert_eq!((self.code, self.with_status("skipped").len()), (Some(0), 0), "{}", self.answer);
        assert!(self.with_status("fine").len() >= 20, "{}", self.answer);
    }

    /// This one is broken and no other; the text says how, and there is advice.
    fn blames(&self, name: &str, text: &str) {
        assert_eq!(self.code, Some(1), "{}", self.answer);
        assert_eq!(self.with_status("failed"), [name], "{}", self.answer);
        let broken = self.checks.iter().find(|check| check["name"] == name).expect("it was just found");
        assert!(broken["text"].as_str().is_some_and(|said| said.contains(text)), "no \"{text}\" in {broken}");
        assert!(broken["next"].as_str().is_some_and(|next| !next.is_empty()), "{broken}");
        let mut skipped = self.checks.iter().filter(|check| check["status"] == "skipped");
        assert!(skipped.all(|check| check["text"].as_str().is_some_and(|text| text.starts_with("needs "))));
    }
}

#[tokio::test]
async fn healthy_platform_is_found_healthy_and_its_stock_is_left_alone() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("thermometer", 3, (9, 0)).await;
    examine(&platform, &[]).await.is_well();
    for (sku, units) in [(&*sku, 3), ("DOCTOR-CHECK", 0)] {
        let request = GetStockRequest { sku: sku.to_owned() };
        let item = shop.inventory.get_stock(request).await.unwrap().into_inner().item.unwrap();
        assert_eq!((item.on_hand, item.reserved), (units, 0), "{sku}");
    }
}

#[tokio::test]
async fn service_of_another_name_in_traces_is_found_everywhere_else() {
    let mut platform = faults().await;
    platform.orders.set("OTEL_RESOURCE_ATTRIBUTES", "service.name=shop-orders");
    platform.orders.restart().await;
    examine(&platform, &[]).await.blames("trace", "has no span of order-svc");
}

#[tokio::test]
async fn broken_service_is_named_and_nothing_else() {
    let mut platform = faults().await;
    let orders = platform.orders.address();
    let wrong = examine(&platform, &["--inventory", &orders]).await;
    wrong.blames("inventory-svc", "there is order-svc");
    let orders_admin = platform.orders.admin_address();
    let wrong = examine(&platform, &["--inventory-admin", &orders_admin]).await;
    wrong.blames("inventory-svc", "build_info names another service");

    platform.orders.stop().await;
    examine(&platform, &[]).await.blames("order-svc", "gRPC at http://127.0.0.1:");
    platform.orders.start_ready().await;

    platform.inventory.signal(Signal::STOP);
    examine(&platform, &[]).await.blames("inventory-svc", "does not answer within");
    platform.inventory.signal(Signal::CONT);
    well_again(&platform).await;

    platform.orders.set("INVENTORY_ENDPOINTS", format!("http://127.0.0.1:{}", Proxy::to(1).port));
    platform.orders.restart().await;
    examine(&platform, &[]).await.blames("order-svc health", "can't reach its inventory");
    platform.heal().await;

    platform.inventory.set("OTEL_SDK_DISABLED", "true");
    platform.inventory.restart().await;
    examine(&platform, &[]).await.blames("trace", "has no span of inventory-svc");
    platform.heal().await;

    platform.orders.set("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://127.0.0.1:{}", Proxy::to(1).port));
    platform.orders.restart().await;
    examine(&platform, &[]).await.blames("trace", "order-svc drops its spans");
    platform.heal().await;

    examine(&platform, &[]).await.is_well();
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn broken_database_is_named_and_nothing_else() {
    let mut platform = faults().await;
    let nowhere = platform.stack.postgres.tcp_database_url("nowhere");
    examine(&platform, &["--orders-database", &nowhere]).await.blames("orders database", "\"nowhere\" does not exist");

    let mut inventory = PgConnection::connect(&platform.stack.postgres.database_url("inventory")).await.unwrap();
    inventory
        .execute("create table kept as select * from _sqlx_migrations order by version desc limit 1")
        .await
        .unwrap();
    inventory
        .execute("delete from _sqlx_migrations using kept where _sqlx_migrations.version = kept.version")
        .await
        .unwrap();
    examine(&platform, &[]).await.blames("inventory schema", "lacks 0004 outbox by transaction");
    inventory.execute("insert into _sqlx_migrations select * from kept; drop table kept").await.unwrap();

    inventory.execute("alter table imported_rows rename to imported_rows_elsewhere").await.unwrap();
    examine(&platform, &[]).await.blames("stock import", "ImportStock: ");
    inventory.execute("alter table imported_rows_elsewhere rename to imported_rows").await.unwrap();
    inventory.close().await.unwrap();

    platform.stack.postgres.kill().await.unwrap();
    let away = examine(&platform, &[]).await;
    assert_eq!(away.with_status("failed"), ["inventory database", "orders database"], "{}", away.answer);
    platform.stack.postgres.restart().await.unwrap();
    platform.inventory.ready().await;
    platform.orders.ready().await;
    well_again(&platform).await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn events_that_do_not_flow_are_named_where_they_stop() {
    let mut platform = faults().await;
    let relay = stop_relay(&platform).await;
    examine(&platform, &[]).await.blames("order-svc outbox", "holds the relay's lock");
    relay.close().await.unwrap();
    well_again(&platform).await;

    let rows = "select 1 from consumer_positions where topic = 'orders.v1' for update";
    let gate = Gate::shut(platform.database(Part::Inventory), rows).await;
    examine(&platform, &[]).await.blames("inventory-svc consumer", "stands still for 6s in orders.v1/");
    gate.open().await;
    well_again(&platform).await;

    kafka::delete(platform.kafka(), "inventory.v1.dlq").await;
    examine(&platform, &[]).await.blames("topics", "there is no topic inventory.v1.dlq");
    // As the doctor advises.
    platform.inventory.restart().await;
    well_again(&platform).await;

    platform.stack.traces.kill().await.unwrap();
    examine(&platform, &[]).await.blames("jaeger", "no answer from http://127.0.0.1:");
    platform.stack.traces.restart().await.unwrap();
    well_again(&platform).await;

    platform.stack.kafka.kill().await.unwrap();
    examine(&platform, &[]).await.blames("kafka", platform.kafka());
    platform.stack.kafka.restart().await.unwrap();

    well_again(&platform).await;
    audit::whole(&platform, seconds(30)).await;
}

/// Waits until nothing is broken any more: consumers join their groups again, exporters find the collector.
async fn well_again(platform: &Platform) {
    eventually(seconds(30), async || {
        let examined = examine(platform, &[]).await;
        ensure!(examined.code == Some(0), "{}", examined.answer);
        Ok(())
    })
    .await;
}

/// Takes the lock of order-svc's relay away from it, as a session would that somebody forgot. Closing gives it back.
async fn stop_relay(platform: &Platform) -> PgConnection {
    let url = platform.stack.postgres.database_url("orders");
    let (mut first, mut second) =
        (PgConnection::connect(&url).await.unwrap(), PgConnection::connect(&url).await.unwrap());
    let held = "select (classid::bigint << 32) + objid::bigint, pid from pg_locks
                where locktype = 'advisory' and granted and database = (select oid from pg_database where datname = 'orders')";
    let (lock, leader): (i64, i32) = sqlx::query_as(held).fetch_one(&mut second).await.unwrap();
    // Who waits for it gets it before anyone who asks again.
    let waiting = tokio::spawn(async move {
        sqlx::query("select pg_advisory_lock($1)").bind(lock).execute(&mut first).await.map(|_| first)
    });
    eventually(seconds(10), async || {
        let waits: i64 =
            sqlx::query_scalar("select count(*) from pg_locks where locktype = 'advisory' and not granted")
                .fetch_one(&mut second)
                .await?;
        ensure!(waits > 0, "nobody waits for the lock");
        Ok(())
    })
    .await;
    sqlx::query("select pg_terminate_backend($1)").bind(leader).execute(&mut second).await.unwrap();
    let holder = waiting.await.unwrap().unwrap();
    // It goes on publishing until it next talks to its session.
    eventually(seconds(10), async || {
        let leading = platform.orders.metrics().await.sum("relay_leader", &[]);
        ensure!(leading == 0.0, "it still takes itself for the leader");
        Ok(())
    })
    .await;
    holder
}
