//! Streams in numbers, and readers who take their time.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use anyhow::ensure;
use futures::future::join_all;
use futures::stream::{self, StreamExt as _};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{OrderStatus, PlaceOrdersRequest, WatchOrderRequest};
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tokio::sync::watch;
use tonic::transport::{Channel, Endpoint};
use uuid::Uuid;

use crate::support::calm;

const WATCHES: usize = 1_000;
/// Every so many-th watcher reads nothing before all others are done.
const SLOW: usize = 10;
const CONNECTIONS: usize = 4;
const AT_ONCE: usize = 32;
const OFFERED: u64 = 4_000;
/// The least that HTTP/2 gives: some hundred answers.
const WINDOW: u32 = 65_535;
/// A client that is held back has sent nothing for so long.
const STANDSTILL: Duration = Duration::from_secs(2);

/// Versions and statuses that a watch gives from now on until it ends; reads once `from` says so.
async fn watched(
    mut client: OrderServiceClient<Channel>,
    order_id: String,
    opened: Arc<AtomicU64>,
    mut from: watch::Receiver<bool>,
) -> Vec<(u64, OrderStatus)> {
    let request = WatchOrderRequest { order_id, after_version: 1 };
    let mut watch = client.watch_order(request).await.unwrap().into_inner();
    opened.fetch_add(1, Ordering::Relaxed);
    from.wait_for(|begun| *begun).await.unwrap();
    let mut versions = Vec::new();
    while let Some(answer) = watch.message().await.unwrap() {
        let order = answer.order.unwrap();
        versions.push((order.version, order.status()));
    }
    versions
}

#[tokio::test]
async fn a_thousand_watches_give_every_version_once_and_in_order_to_slow_readers_too() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("parade", 10_000, (1, 0)).await;
    let order = |shop: Shop| {
        let sku = sku.clone();
        async move { shop.clone().place(&[(&sku, 1)]).await }
    };
    let orders: Vec<_> = stream::iter(0..WATCHES).map(|_| order(shop.clone())).buffered(AT_ONCE).collect().await;

    let clients: Vec<_> = (0..CONNECTIONS).map(|_| OrderServiceClient::new(platform.orders.channel())).collect();
    let opened = Arc::new(AtomicU64::new(0));
    let (at_once, begin_late) = (watch::Sender::new(true), watch::Sender::new(false));
    let mut watchers = Vec::new();
    for (number, (order, client)) in orders.iter().zip(clients.iter().cycle()).enumerate() {
        let from = if number % SLOW == 0 { begin_late.subscribe() } else { at_once.subscribe() };
        let watcher = watched(client.clone(), order.order_id.clone(), Arc::clone(&opened), from);
        watchers.push(tokio::spawn(watcher));
    }
    eventually(seconds(60), async || {
        let open = opened.load(Ordering::Relaxed);
        ensure!(open == WATCHES as u64, "{open} watches are open");
        Ok(())
    })
    .await;

    let end = |number: usize, order_id: String| {
        let mut shop = shop.clone();
        async move {
            if number.is_multiple_of(2) {
                shop.fulfil(&order_id).await.unwrap()
            } else {
                shop.cancel(&order_id, "").await.unwrap()
            }
        }
    };
    let ended = orders.iter().enumerate().map(|(number, order)| end(number, order.order_id.clone()));
    stream::iter(ended).buffered(AT_ONCE).for_each(|_| async {}).await;

    let (slow, quick): (Vec<_>, Vec<_>) =
        watchers.into_iter().enumerate().partition(|(number, _)| number.is_multiple_of(SLOW));
    let all = async |watchers: Vec<(usize, tokio::task::JoinHandle<_>)>| {
        for (number, versions) in join_all(watchers.into_iter().map(async |(number, task)| (number, task.await))).await
        {
            let last = if number.is_multiple_of(2) { OrderStatus::Fulfilled } else { OrderStatus::Cancelled };
            assert_eq!(versions.unwrap(), [(2, OrderStatus::Confirmed), (3, last)], "watch {number}");
        }
    };
    all(quick).await;
    begin_late.send_replace(true);
    all(slow).await;
}

#[tokio::test]
async fn client_that_does_not_read_is_held_back_and_then_answered_in_full() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("monologue", 1_000_000, (1, 0)).await;
    let endpoint = Endpoint::from_shared(platform.orders.address()).unwrap();
    let narrow = endpoint.initial_stream_window_size(WINDOW).initial_connection_window_size(WINDOW).connect_lazy();
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let template = shop.request(&[(&sku, 1)]);
    let requests = (1..=OFFERED).map(move |sequence| {
        counted.store(sequence, Ordering::Relaxed);
        let mut place_order = template.clone();
        place_order.request_id = Uuid::new_v4().to_string();
        PlaceOrdersRequest { sequence, place_order: Some(place_order) }
    });
    let call = OrderServiceClient::new(narrow).place_orders(stream::iter(requests)).await;
    let mut answers = call.unwrap().into_inner();
    let mut stood_at = 0;
    loop {
        tokio::time::sleep(STANDSTILL).await;
        let now = taken.load(Ordering::Relaxed);
        if now == stood_at {
            break;
        }
        stood_at = now;
    }
    assert!(stood_at < OFFERED, "all orders were taken although nobody read an answer");
    let mut is_answered = vec![false; usize::try_from(OFFERED).unwrap()];
    while let Some(answer) = answers.message().await.unwrap() {
        let is_answered = &mut is_answered[usize::try_from(answer.sequence).unwrap() - 1];
        assert!(!std::mem::replace(is_answered, true), "order {} is answered twice", answer.sequence);
    }
    assert!(is_answered.iter().all(|answered| *answered), "after {stood_at} unread");
}
