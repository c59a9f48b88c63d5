//! Inventory answers, but too late: callers have their answers in time, the breaker spares them the wait, and metrics say so.

use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::join_all;
use proto::orders::v1::OrderStatus;
use tests::audit;
use tests::proxy::{Proxy, Way, Weather};
use tests::service::Service;
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tonic::{Request, Status};

use crate::support::faults;

const BREAKER: &str = "rpc_client_circuit_breaker_state";
const CLOSED: f64 = 0.0;
const OPEN: f64 = 1.0;
/// More than the breaker wants to see before it opens.
const CALLERS: u32 = 40;
/// A tenth of a second is left for an answer when inventory is given up: not for all of them at once.
const APART: Duration = Duration::from_millis(25);
const DEADLINE: Duration = Duration::from_secs(3);
const SLOWER: u32 = 20;

async fn place(shop: &Shop, sku: &str) -> Result<OrderStatus, Status> {
    let mut request = Request::new(shop.request(&[(sku, 1)]));
    request.set_timeout(DEADLINE);
    let answer = shop.orders.clone().place_order(request).await?.into_inner();
    Ok(answer.order.expect("an answer has an order").status())
}

async fn breaker_becomes(orders: &Service, state: f64) {
    eventually(seconds(45), async || {
        let now = orders.metrics().await.sum(BREAKER, &[]);
        ensure!(now == state, "the breaker's gauge is {now}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn slow_inventory_keeps_nobody_waiting_and_opens_the_breaker_until_it_is_well() {
    let mut platform = faults().await;
    let port = platform.inventory.address().rsplit_once(':').unwrap().1.parse().unwrap();
    let mut way = Proxy::to(port);
    way.open().await;
    platform.orders.set("INVENTORY_ENDPOINTS", format!("http://127.0.0.1:{}", way.port));
    platform.orders.restart().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("tortoise", 10_000, (1, 0)).await;

    let mut took = Vec::new();
    for _ in 0..21 {
        let begun = Instant::now();
        assert_eq!(place(&shop, &sku).await.unwrap(), OrderStatus::Confirmed);
        took.push(begun.elapsed());
    }
    took.sort_unstable();
    breaker_becomes(&platform.orders, CLOSED).await;

    // Later than anybody waits, so that what is slow is also what fails.
    let delay = (took[took.len() / 2] * SLOWER).max(DEADLINE);
    way.set(Weather::Delayed(Way::ToClient, delay));
    let one_after_the_other = (0..CALLERS).map(async |number| {
        tokio::time::sleep(APART * number).await;
        place(&shop, &sku).await
    });
    for status in join_all(one_after_the_other).await {
        assert_eq!(status.expect("an answer in time"), OrderStatus::Pending);
    }
    breaker_becomes(&platform.orders, OPEN).await;
    let calls = async |code: &str| {
        let labels = [("rpc_method", "inventory.v1.InventoryService/Reserve"), ("rpc_response_status_code", code)];
        platform.orders.metrics().await.sum("rpc_client_call_duration_seconds_count", &labels)
    };
    assert!(calls("DEADLINE_EXCEEDED").await >= 20.0, "they failed at their deadlines");
    let spared = calls("UNAVAILABLE").await;
    assert_eq!(place(&shop, &sku).await.unwrap(), OrderStatus::Pending);
    assert!(calls("UNAVAILABLE").await > spared, "a call that is not sent is counted as what it gets");

    way.set(Weather::Clear);
    // A half-open breaker waits for a call that shows how things are.
    eventually(seconds(30), async || {
        let status = place(&shop, &sku).await?;
        ensure!(status == OrderStatus::Confirmed, "{status:?}");
        Ok(())
    })
    .await;
    breaker_becomes(&platform.orders, CLOSED).await;
    audit::whole(&platform, seconds(60)).await;
}
