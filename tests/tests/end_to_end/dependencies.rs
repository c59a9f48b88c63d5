//! What a service says and does while something that it needs, or can do without, is away.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::join_all;
use proto::orders::v1::OrderStatus;
use proto::reasons;
use rustix::process::Signal;
use tests::audit;
use tests::platform::Platform;
use tests::proxy::Proxy;
use tests::refusal::Refusal;
use tests::service::{Part, Service};
use tests::waiting::{eventually, seconds};
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::support::faults;

const ORDER_SERVICE: &str = "orders.v1.OrderService";

/// What `grpc.health.v1` says of the server as a whole and of its service.
async fn health(service: &Service) -> [ServingStatus; 2] {
    let mut client = HealthClient::new(service.channel());
    let mut statuses = [ServingStatus::Unknown; 2];
    for (status, name) in statuses.iter_mut().zip(["", ORDER_SERVICE]) {
        let request = HealthCheckRequest { service: name.to_owned() };
        *status = client.check(request).await.unwrap().into_inner().status();
    }
    statuses
}

async fn turns(service: &Service, status: ServingStatus, readyz: u16) {
    eventually(seconds(15), async || {
        let (code, report) = service.readyz().await?;
        ensure!(code == readyz, "/readyz says {code} {report}");
        let said = health(service).await;
        ensure!(said == [status, status], "grpc.health says {said:?}");
        Ok(())
    })
    .await;
}

/// The port of the platform's Postgres.
fn postgres_port(platform: &Platform) -> u16 {
    let url = platform.stack.postgres.tcp_database_url("orders");
    let (_, port) = url.rsplit_once(':').unwrap();
    port.split_once('/').unwrap().0.parse().unwrap()
}

#[tokio::test]
async fn service_without_its_database_waits_for_it_and_says_so() {
    let platform = faults().await;
    let mut door = Proxy::to(postgres_port(&platform));
    let mut replica = platform.replica(Part::Orders, "order-svc-behind-a-door");
    replica.set("DATABASE_URL", format!("postgres://postgres@127.0.0.1:{}/orders", door.port));

    replica.start();
    let reason = eventually(seconds(10), async || {
        let reason = replica.component(seconds(10), "database", "down").await;
        ensure!(reason != "starting");
        Ok(reason)
    })
    .await;
    assert!(reason.contains(&format!("127.0.0.1:{}", door.port)), "{reason}");
    turns(&replica, ServingStatus::NotServing, 503).await;
    assert!(replica.is_running());
    let mut shop = platform.shop();
    shop.orders = replica.orders();
    let request = shop.request(&[("any", 1)]);
    let refusal = Refusal::of(&shop.try_place(request).await.unwrap_err());
    assert_eq!((refusal.code, &*refusal.reason), (Code::Unavailable, reasons::DEPENDENCY_UNAVAILABLE));
    assert_eq!(refusal.metadata.get("dependency").map(String::as_str), Some("database"));
    assert!(refusal.retry);

    door.open().await;
    turns(&replica, ServingStatus::Serving, 200).await;
    let sku = shop.stocked("door", 3, (80, 0)).await;
    assert_eq!(shop.place(&[(&sku, 1)]).await.status(), OrderStatus::Confirmed);

    door.close().await;
    turns(&replica, ServingStatus::NotServing, 503).await;
    door.open().await;
    turns(&replica, ServingStatus::Serving, 200).await;
    assert_eq!(shop.place(&[(&sku, 1)]).await.status(), OrderStatus::Confirmed);
    replica.stop().await;
    audit::whole(&platform, seconds(20)).await;
}

#[tokio::test]
async fn services_without_kafka_are_degraded_take_orders_and_publish_later() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("radio", 10, (80, 0)).await;
    platform.quiet(seconds(20)).await;
    platform.orders.stop().await;
    platform.inventory.stop().await;
    platform.stack.kafka.kill().await.unwrap();

    platform.inventory.start_ready().await;
    platform.orders.start_ready().await;
    for service in [&platform.orders, &platform.inventory] {
        let reason = service.component(seconds(10), "kafka", "down").await;
        eventually(seconds(10), async || {
            let (code, report) = service.readyz().await?;
            ensure!((code, report["status"].as_str()) == (200, Some("degraded")), "/readyz says {code} {report}");
            Ok(())
        })
        .await;
        assert!(!reason.is_empty());
    }
    assert_eq!(health(&platform.orders).await, [ServingStatus::Serving; 2]);
    let confirmed = shop.place(&[(&sku, 1)]).await;
    assert_eq!(confirmed.status(), OrderStatus::Confirmed);
    let cancelled = shop.place(&[(&sku, 2)]).await;
    shop.cancel(&cancelled.order_id, "").await.unwrap();

    platform.stack.kafka.restart().await.unwrap();
    let begun = Instant::now();
    shop.becomes(&confirmed.order_id, OrderStatus::Confirmed, 1).await;
    audit::whole(&platform, seconds(30)).await;
    eprintln!("everything was published and consumed {:?} after the broker's return", begun.elapsed());
    shop.stock_becomes(&sku, 10, 1).await;
    platform.orders.component(seconds(10), "kafka", "up").await;
}

#[tokio::test]
async fn service_that_is_told_to_stop_answers_the_calls_it_has() {
    const CALLS: u16 = 20;
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("clock", 100, (80, 0)).await;
    // Calls stay in flight as long as inventory does not answer.
    platform.inventory.signal(Signal::STOP);
    let calls = (0..CALLS).map(|_| {
        let mut shop = shop.clone();
        let mut request = Request::new(shop.request(&[(&sku, 1)]));
        request.set_timeout(Duration::from_secs(4));
        tokio::spawn(async move { shop.orders.place_order(request).await })
    });
    let calls: Vec<_> = calls.collect();
    eventually(seconds(3), async || {
        let labels = [("rpc_method", "orders.v1.OrderService/PlaceOrder")];
        let active = platform.orders.metrics().await.sum("rpc_server_active_requests", &labels);
        let written: i64 = sqlx::query_scalar("select count(*) from orders where customer_id = $1")
            .bind(&shop.customer)
            .fetch_one(&platform.database(Part::Orders))
            .await?;
        ensure!((active, written) == (f64::from(CALLS), i64::from(CALLS)), "{active} calls, {written} orders");
        Ok(())
    })
    .await;

    platform.orders.signal(Signal::TERM);
    let answers = join_all(calls).await;
    assert_eq!(platform.orders.exit_code().await, Some(0));
    for answer in answers {
        let order = answer.unwrap().expect("a call that was in flight is answered").into_inner().order.unwrap();
        assert_eq!(order.status(), OrderStatus::Pending);
    }

    platform.inventory.signal(Signal::CONT);
    platform.orders.start_ready().await;
    shop.stock_becomes(&sku, 100, i64::from(CALLS)).await;
    audit::whole(&platform, seconds(30)).await;
}
