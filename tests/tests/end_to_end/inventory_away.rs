//! Inventory dies: orders are taken, and complete by themselves once it is back.

use std::time::{Duration, Instant};

use proto::orders::v1::{NewOrderLine, OrderStatus, PlaceOrderRequest};
use proto::reasons;
use tests::audit;
use tests::refusal::Refusal;
use tests::waiting::{eventually, seconds};
use tonic::Code;
use uuid::Uuid;

use crate::support::faults;

#[tokio::test]
async fn order_placed_while_inventory_is_away_is_confirmed_through_kafka_once_it_is_back() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("torch", 10, (3, 0)).await;
    platform.inventory.kill();

    let request_id = Uuid::new_v4().to_string();
    let mut request = shop.request(&[(&sku, 2)]);
    request.request_id = request_id.clone();
    let mut timed = tonic::Request::new(request.clone());
    let deadline = Duration::from_secs(2);
    timed.set_timeout(deadline);
    let begun = Instant::now();
    let pending = shop.orders.place_order(timed).await.unwrap().into_inner().order.unwrap();
    assert!(begun.elapsed() < deadline, "answered after {:?}", begun.elapsed());
    assert_eq!((pending.status(), pending.version), (OrderStatus::Pending, 1));
    assert!(pending.total.is_none() && pending.lines[0].unit_price.is_none());
    assert_eq!(pending.request_id, request_id);

    let again = shop.try_place(request).await.unwrap();
    assert_eq!(again, pending, "the repetition gives the same order");

    platform.inventory.start_ready().await;
    let confirmed = shop.becomes(&pending.order_id, OrderStatus::Confirmed, 15).await;
    assert_eq!((confirmed.version, confirmed.create_time), (2, pending.create_time));
    assert_eq!(confirmed.total.unwrap().units, 6);
    shop.stock_becomes(&sku, 10, 2).await;
    audit::whole(&platform, seconds(20)).await;
}

#[tokio::test]
async fn order_cancelled_while_inventory_is_away_never_holds_stock() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("rope", 10, (3, 0)).await;
    platform.inventory.kill();
    let pending = shop.place(&[(&sku, 2)]).await;
    assert_eq!(pending.status(), OrderStatus::Pending);

    let cancelled = shop.cancel(&pending.order_id, "").await.unwrap();
    assert_eq!((cancelled.status(), cancelled.version), (OrderStatus::Cancelled, 2));

    platform.inventory.start_ready().await;
    audit::whole(&platform, seconds(20)).await;
    assert_eq!(shop.item(&sku).await.reserved, 0);
    assert_eq!(shop.order(&pending.order_id).await, cancelled);
}

#[tokio::test]
async fn new_orders_are_refused_while_too_many_are_unfinished_and_taken_again_afterwards() {
    let mut platform = faults().await;
    platform.orders.set("MAX_UNFINISHED_ORDERS", "3");
    platform.orders.restart().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("candle", 1_000, (1, 0)).await;
    platform.inventory.kill();
    let lost = PlaceOrderRequest { request_id: Uuid::new_v4().to_string(), ..shop.request(&[(&sku, 1)]) };
    let placed = shop.try_place(lost.clone()).await.unwrap();

    let refused = eventually(seconds(20), async || {
        let request = shop.request(&[(&sku, 1)]);
        match shop.try_place(request).await {
            Ok(order) => anyhow::bail!("order {} was taken as {:?}", order.order_id, order.status()),
            Err(status) => Ok(Refusal::of(&status)),
        }
    })
    .await;
    assert_eq!((refused.code, &*refused.reason, refused.retry), (Code::ResourceExhausted, reasons::OVERLOADED, true));
    // Whoever had no answer to an order that is there still gets it: it is no new one.
    assert_eq!(shop.try_place(lost.clone()).await.unwrap().order_id, placed.order_id);
    let other = PlaceOrderRequest { lines: Vec::from([NewOrderLine { sku: sku.clone(), quantity: 2 }]), ..lost };
    let reused = Refusal::of(&shop.try_place(other).await.unwrap_err());
    assert_eq!((reused.code, &*reused.reason), (Code::AlreadyExists, reasons::REQUEST_ID_REUSED));

    platform.inventory.start_ready().await;
    eventually(seconds(20), async || {
        let request = shop.request(&[(&sku, 1)]);
        Ok(shop.try_place(request).await?)
    })
    .await;
    audit::whole(&platform, seconds(20)).await;
}
