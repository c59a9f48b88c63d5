//! The streaming methods: watching an order, and placing many on one stream.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use proto::orders::v1::place_orders_response::Outcome;
use proto::orders::v1::{
    Order, OrderStatus, PlaceOrderRequest, PlaceOrdersRequest, PlaceOrdersResponse, WatchOrderRequest,
};
use proto::reasons;
use tests::audit;
use tests::proxy::{Proxy, Way, Weather};
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tonic::codegen::Bytes;
use tonic::{Code, Streaming};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::support::{calm, faults};

/// Versions and statuses that a watch gives until it ends.
async fn watch(shop: &mut Shop, order_id: &str, after_version: u64) -> Vec<(u64, OrderStatus)> {
    let request = WatchOrderRequest { order_id: order_id.to_owned(), after_version };
    let mut watched = shop.orders.watch_order(request).await.unwrap().into_inner();
    let mut versions = Vec::new();
    while let Some(answer) = watched.message().await.unwrap() {
        let order = answer.order.unwrap();
        versions.push((order.version, order.status()));
    }
    versions
}

#[tokio::test]
async fn watch_gives_the_order_as_it_is_and_each_later_version_until_the_last() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("kite", 10, (1, 0)).await;
    let order = shop.place(&[(&sku, 1)]).await;
    let mut watcher = shop.clone();
    let request = WatchOrderRequest { order_id: order.order_id.clone(), after_version: 0 };
    let mut watched = watcher.orders.watch_order(request).await.unwrap().into_inner();
    let first = watched.message().await.unwrap().unwrap().order.unwrap();
    assert_eq!(first, order, "as it is now");

    let fulfilled = shop.fulfil(&order.order_id).await.unwrap();
    let second = watched.message().await.unwrap().unwrap().order.unwrap();
    assert_eq!(second, fulfilled);
    assert!(watched.message().await.unwrap().is_none(), "it ends after a final status");

    let (pending, confirmed) = ((1, OrderStatus::Pending), (2, OrderStatus::Confirmed));
    let last = (3, OrderStatus::Fulfilled);
    assert_eq!(watch(&mut shop, &order.order_id, 0).await, [last]);
    assert_eq!(watch(&mut shop, &order.order_id, 1).await, [confirmed, last], "a watch that broke goes on");
    assert_eq!(watch(&mut shop, &order.order_id, 3).await, []);
    assert_ne!(watch(&mut shop, &order.order_id, 2).await, [pending]);
}

#[tokio::test]
async fn order_of_a_stream_is_answered_in_time_while_the_database_is_silent() {
    let mut platform = faults().await;
    let url = platform.stack.postgres.tcp_database_url("orders");
    let port = url.rsplit_once(':').and_then(|(_, rest)| rest.split_once('/')).unwrap().0.parse().unwrap();
    let mut way = Proxy::to(port);
    way.open().await;
    platform.orders.set("DATABASE_URL", url.replace(&format!(":{port}/"), &format!(":{}/", way.port)));
    platform.orders.restart().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("clock", 1_000, (1, 0)).await;

    // More than are in flight together: with the first answer others are still to be written.
    let template = shop.request(&[(&sku, 1)]);
    let requests: Vec<_> = (1..=150)
        .map(|sequence| {
            let order = PlaceOrderRequest { request_id: Uuid::new_v4().to_string(), ..template.clone() };
            PlaceOrdersRequest { sequence, place_order: Some(order) }
        })
        .collect();
    let mut stream = shop.orders.place_orders(tokio_stream::iter(requests.clone())).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    way.set(Weather::BlackHole(Way::Both));
    let late = answers(stream).await;
    assert_eq!(late.len(), 149, "each is answered, by whatever");
    let code = i32::from(Code::DeadlineExceeded);
    let exceeded =
        |answer: &&PlaceOrdersResponse| matches!(&answer.outcome, Some(Outcome::Error(error)) if error.code == code);
    assert!(late.values().any(|answer| exceeded(&answer)), "no answer in time: {late:?}");

    way.set(Weather::Clear);
    way.cut();
    // The same requests find their orders, or make them.
    eventually(seconds(40), async || {
        let again = tokio_stream::iter(requests.clone());
        let again = answers(shop.orders.place_orders(again).await?.into_inner()).await;
        let orders = again.values().filter(|answer| matches!(answer.outcome, Some(Outcome::Order(_)))).count();
        ensure!(orders == 150, "{orders} orders");
        Ok(())
    })
    .await;
    platform.heal().await;
    audit::whole(&platform, seconds(30)).await;
}

async fn answers(mut stream: Streaming<PlaceOrdersResponse>) -> BTreeMap<u64, PlaceOrdersResponse> {
    let mut answers = BTreeMap::new();
    while let Some(answer) = stream.message().await.unwrap() {
        assert!(answers.insert(answer.sequence, answer).is_none(), "one answer each");
    }
    answers
}

fn order_of(answer: &PlaceOrdersResponse) -> &Order {
    match answer.outcome.as_ref().unwrap() {
        Outcome::Order(order) => order,
        Outcome::Error(error) => panic!("{error:?}"),
    }
}

#[tokio::test]
async fn many_orders_go_through_one_stream_and_a_bad_one_fails_alone() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("pin", 10_000, (1, 0)).await;
    let request_id = Uuid::new_v4().to_string();
    let template = shop.request(&[(&sku, 1)]);
    let request = |sequence: u64| {
        let mut place_order = template.clone();
        match sequence {
            7 => place_order.customer_id = "not a customer".to_owned(),
            10 => place_order.request_id.clone_from(&request_id),
            _ => {}
        }
        PlaceOrdersRequest { sequence, place_order: Some(place_order) }
    };
    let requests: Vec<_> = (1..=300).map(request).collect();
    let stream = shop.orders.place_orders(tokio_stream::iter(requests)).await.unwrap().into_inner();
    let answered = answers(stream).await;

    assert_eq!(answered.keys().copied().collect::<Vec<_>>(), (1..=300).collect::<Vec<_>>());
    let mut ids = BTreeSet::new();
    for (sequence, answer) in &answered {
        assert!(!answer.replayed);
        match answer.outcome.as_ref().unwrap() {
            Outcome::Order(order) => {
                assert!(ids.insert(&order.order_id));
                assert_eq!(order.status(), OrderStatus::Confirmed);
            }
            Outcome::Error(error) => {
                assert_eq!(*sequence, 7);
                let details = Bytes::from(prost::Message::encode_to_vec(error));
                let status = tonic::Status::with_details(error.code.into(), &*error.message, details);
                assert_eq!(status.get_details_error_info().unwrap().reason, reasons::INVALID_FIELD);
                assert_eq!(status.get_details_bad_request().unwrap().field_violations[0].field, "customer_id");
            }
        }
    }
    assert_eq!(ids.len(), 299);

    let again = tokio_stream::iter([request(10)]);
    let repeated = answers(shop.orders.place_orders(again).await.unwrap().into_inner()).await;
    assert!(repeated[&10].replayed);
    assert_eq!(order_of(&repeated[&10]), order_of(&answered[&10]));
}
