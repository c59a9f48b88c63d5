//! Two replicas of each service on the same databases and topics.

use std::collections::BTreeSet;

use anyhow::ensure;
use futures::future::join_all;
use proto::orders::v1::{Order, OrderStatus, PlaceOrderResponse};
use proto::{headers, reasons, topics};
use tests::audit::{self, Of};
use tests::kafka;
use tests::platform::Platform;
use tests::refusal::Refusal;
use tests::service::Service;
use tests::waiting::{eventually, seconds};
use tonic::{Code, Response, Status};
use uuid::Uuid;

use crate::support::{faults, second_replicas};

const CALLS: usize = 50;

fn is_replay<T>(response: &Response<T>) -> bool {
    response.metadata().get(headers::IDEMPOTENT_REPLAY).is_some_and(|value| value == "true")
}

#[tokio::test]
async fn fifty_equal_calls_over_two_replicas_make_one_order_and_get_equal_answers() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("ticket", 100, (12, 500_000_000)).await;
    let mut request = shop.request(&[(&sku, 2)]);
    request.request_id = Uuid::new_v4().to_string();

    let calls = (0..CALLS).map(|number| {
        let mut client = if number % 2 == 0 { platform.orders.orders() } else { second.orders() };
        let request = request.clone();
        async move { client.place_order(request).await.unwrap() }
    });
    let answers = join_all(calls).await;

    let first_calls = answers.iter().filter(|answer| !is_replay(answer)).count();
    assert_eq!(first_calls, 1, "one call placed the order, the others repeat it");
    let orders: Vec<Order> = answers.into_iter().map(|answer| answer.into_inner().order.unwrap()).collect();
    assert_eq!(orders[0].status(), OrderStatus::Confirmed);
    assert!(orders.iter().all(|order| *order == orders[0]), "{orders:#?}");

    let mut other = request.clone();
    other.lines[0].quantity = 3;
    let refusal = Refusal::of(&shop.try_place(other).await.unwrap_err());
    assert_eq!((refusal.code, &*refusal.reason), (Code::AlreadyExists, reasons::REQUEST_ID_REUSED));
    assert_eq!(refusal.domain, reasons::ORDERS_DOMAIN);

    let mut of_another_customer = request;
    of_another_customer.customer_id = format!("other-{}", shop.mark);
    let another = shop.try_place(of_another_customer).await.unwrap();
    assert_ne!(another.order_id, orders[0].order_id, "request ids are the customer's own");

    shop.stock_becomes(&sku, 100, 4).await;
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(20)).await;
}

#[tokio::test]
async fn same_key_with_different_bodies_over_two_replicas_belongs_to_one_of_them() {
    const BODIES: u32 = 4;
    const ROUNDS: usize = 10;
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("voucher", 1_000, (12, 500_000_000)).await;

    let mut sold = 0;
    for _ in 0..ROUNDS {
        let request_id = Uuid::new_v4().to_string();
        let calls = (0..CALLS).map(|number| {
            let quantity = 1 + u32::try_from(number).unwrap() % BODIES;
            let mut request = shop.request(&[(&sku, quantity)]);
            request.request_id.clone_from(&request_id);
            // Each body goes to both replicas.
            let use_second = number % 8 >= 4;
            let mut client = if use_second { second.orders() } else { shop.orders.clone() };
            async move { (quantity, client.place_order(request).await) }
        });
        let answers = join_all(calls).await;

        let made = |answer: &Result<Response<PlaceOrderResponse>, Status>| {
            answer.as_ref().ok().map(|answer| answer.get_ref().order.clone().unwrap())
        };
        let order = answers.iter().find_map(|(_, answer)| made(answer)).expect("one of the bodies makes an order");
        let winner = order.lines[0].quantity;
        sold += i64::from(winner);
        for (quantity, answer) in &answers {
            match answer {
                Ok(_) => assert_eq!((made(answer).as_ref(), *quantity), (Some(&order), winner)),
                Err(status) => {
                    let refusal = Refusal::of(status);
                    assert_ne!(*quantity, winner, "the body that made the order is refused: {refusal:?}");
                    assert_eq!((refusal.code, &*refusal.reason), (Code::AlreadyExists, reasons::REQUEST_ID_REUSED));
                }
            }
        }
        let first_calls = answers.iter().filter(|(_, answer)| answer.as_ref().is_ok_and(|answer| !is_replay(answer)));
        assert_eq!(first_calls.count(), 1, "one call placed the order, the others repeat it");
    }
    shop.stock_becomes(&sku, 1_000, sold).await;
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(20)).await;
}

/// Records of `topic` that a replica says it has sent.
async fn sent(replica: &Service, topic: &str) -> f64 {
    let labels = [("messaging_destination_name", topic)];
    replica.metrics().await.sum("messaging_client_sent_messages_total", &labels)
}

/// Kills the replica that published what was just placed; the other has to go on.
async fn kill_leader(first: &mut Service, second: &mut Service, topic: &str, before: (f64, f64)) {
    let grown = (sent(first, topic).await > before.0, sent(second, topic).await > before.1);
    match grown {
        (true, false) => first.kill(),
        (false, true) => second.kill(),
        (true, true) => panic!("both replicas publish {topic}"),
        (false, false) => panic!("no replica publishes {topic}"),
    }
}

#[tokio::test]
async fn one_replica_publishes_each_event_once_and_another_takes_over_when_it_dies() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("seat", 1_000, (30, 0)).await;
    platform.quiet(seconds(20)).await;
    let sent_orders = (sent(&platform.orders, topics::ORDERS).await, sent(&second, topics::ORDERS).await);
    let sent_stock =
        (sent(&platform.inventory, topics::INVENTORY).await, sent(&second_inventory, topics::INVENTORY).await);

    let mut other_shop = shop.clone();
    other_shop.orders = second.orders();
    for _ in 0..20 {
        let order = shop.place(&[(&sku, 1)]).await;
        let other = other_shop.place(&[(&sku, 1)]).await;
        assert_eq!((order.status(), other.status()), (OrderStatus::Confirmed, OrderStatus::Confirmed));
    }
    let calm = audit::orders(&platform, Of::Customer(&shop.customer), seconds(10)).await;
    assert_eq!((calm.orders, calm.events, calm.duplicates), (40, 120, 0));

    kill_leader(&mut platform.orders, &mut second, topics::ORDERS, sent_orders).await;
    let mut survivor = if platform.orders.is_running() { shop.clone() } else { other_shop };
    let late = survivor.place(&[(&sku, 1)]).await;
    published_within_ten_seconds(&platform, topics::ORDERS, &late.order_id).await;

    kill_leader(&mut platform.inventory, &mut second_inventory, topics::INVENTORY, sent_stock).await;
    // A call that meets the dead one is answered PENDING, and completes when the group has noticed its death.
    let latest = eventually(seconds(10), async || {
        let order = survivor.place(&[(&sku, 1)]).await;
        ensure!(order.status() == OrderStatus::Confirmed, "{} is {:?}", order.order_id, order.status());
        Ok(order)
    })
    .await;
    published_within_ten_seconds(&platform, topics::ORDERS, &latest.order_id).await;
    published_within_ten_seconds(&platform, topics::INVENTORY, &latest.order_id).await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn what_another_replica_commits_is_published_at_once() {
    let mut platform = faults().await;
    // Without being told the leader would not look again while this test runs.
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[("RELAY_POLL_INTERVAL", "2m")]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("seat", 1_000, (30, 0)).await;
    for round in 0..10 {
        // One after the other, so that no later commit brings an earlier event along. Each order service asks one of the
        // inventories after the other.
        let order = shop.place(&[(&sku, 1)]).await;
        eventually(seconds(10), async || {
            let records = kafka::read_all(platform.kafka(), topics::INVENTORY).await;
            let is_there = records.iter().any(|record| record.key_text() == Some(&order.order_id));
            ensure!(is_there, "nothing of order {round} is published");
            Ok(())
        })
        .await;
    }
    let reserved = |metrics: &tests::metrics::Metrics| {
        metrics
            .sum("rpc_server_call_duration_seconds_count", &[("rpc_method", "inventory.v1.InventoryService/Reserve")])
    };
    for replica in [&platform.inventory, &second_inventory] {
        assert!(reserved(&replica.metrics().await) > 0.0, "both replicas have reserved");
    }
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(20)).await;
}

async fn published_within_ten_seconds(platform: &Platform, topic: &str, order_id: &str) {
    eventually(seconds(10), async || {
        let records = kafka::read_all(platform.kafka(), topic).await;
        let keys: BTreeSet<&str> = records.iter().filter_map(kafka::Record::key_text).collect();
        ensure!(keys.contains(order_id), "no event of {order_id} in {topic}");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn two_hundred_callers_on_the_last_unit_make_one_sale() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("last", 1, (5, 0)).await;

    let calls = (0..200).map(|number| {
        let mut caller = shop.clone();
        if number % 2 == 1 {
            caller.orders = second.orders();
        }
        let sku = sku.clone();
        async move { caller.place(&[(&sku, 1)]).await }
    });
    let orders = join_all(calls).await;

    // Whoever was answered PENDING completes a moment later.
    let mut outcomes = Vec::new();
    for order in orders {
        let done = if order.status() == OrderStatus::Pending {
            eventually(seconds(20), async || {
                let order = shop.order(&order.order_id).await;
                ensure!(order.status() != OrderStatus::Pending, "{} is pending", order.order_id);
                Ok(order)
            })
            .await
        } else {
            order
        };
        outcomes.push(done);
    }
    let confirmed = outcomes.iter().filter(|order| order.status() == OrderStatus::Confirmed).count();
    let sold_out = outcomes.iter().filter(|order| order.status_reason == reasons::OUT_OF_STOCK).count();
    assert_eq!((confirmed, sold_out), (1, 199));
    second.stop().await;
    second_inventory.stop().await;
    shop.stock_becomes(&sku, 1, 1).await;
    audit::whole(&platform, seconds(30)).await;
}
