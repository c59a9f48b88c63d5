//! `orderctl dead-letters replay`: an event that could not be processed goes through once the cause is mended.

use anyhow::{Context as _, ensure};
use proto::inventory::v1::{ReserveLine, ReserveRequest};
use proto::orders::v1::OrderStatus;
use proto::{headers, topics};
use serde_json::Value;
use tests::kafka::{self, Record};
use tests::platform::Platform;
use tests::service::Part;
use tests::traces;
use tests::waiting::{eventually, seconds};
use uuid::Uuid;

use crate::redelivery::state;
use crate::support::{dead_letters, faults, lies_at};

/// Waits until `list` knows a letter with that key, and returns what it says of all of them.
async fn letters_of(platform: &Platform, key: &str, count: usize) -> Vec<Value> {
    eventually(seconds(20), async || {
        let listed = dead_letters(platform, &["list", "--topic", topics::ORDERS]).await;
        let mut letters = listed.json()["deadLetters"].as_array().unwrap().clone();
        letters.retain(|letter| letter["key"] == key);
        ensure!(letters.len() == count, "{letters:?}");
        Ok(letters)
    })
    .await
}

#[tokio::test]
async fn replayed_event_does_once_what_it_could_not_do_before() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("clock", 10, (40, 0)).await;
    let order = shop.place(&[(&sku, 2)]).await;
    let order_id: Uuid = order.order_id.parse().unwrap();
    platform.quiet(seconds(20)).await;

    // The fault: inventory's database is set back to before the order.
    platform.inventory.stop().await;
    let database = platform.database(Part::Inventory);
    for (statement, id) in [
        ("delete from reservations where order_id::text = $1", &order.order_id),
        ("update stock set reserved = 0 where sku = $1", &sku),
    ] {
        let changed = sqlx::query(statement).bind(id).execute(&database).await.unwrap();
        assert_eq!(changed.rows_affected(), 1, "{statement}");
    }
    platform.inventory.start_ready().await;
    assert_eq!(shop.fulfil(&order.order_id).await.unwrap().status(), OrderStatus::Fulfilled);
    let given_up = letters_of(&platform, &order.order_id, 1).await;
    assert_eq!(given_up[0]["reason"], "impossible_transition");
    assert_eq!(given_up[0]["eventType"], "events.v1.OrderFulfilled");
    let first = given_up[0]["id"].as_str().unwrap();

    // Before it is mended, a replay comes back.
    let too_early = dead_letters(&platform, &["replay", first]).await;
    assert_eq!((too_early.code, &too_early.json()["sent"]), (Some(0), &1.into()), "{too_early:?}");
    let given_up = letters_of(&platform, &order.order_id, 2).await;
    let second = given_up[1]["id"].as_str().unwrap();

    // Mended: the order's stock is held again.
    let lines = vec![ReserveLine { sku: sku.clone(), quantity: 2 }];
    shop.inventory.reserve(ReserveRequest { order_id: order.order_id.clone(), lines }).await.unwrap();
    shop.stock_becomes(&sku, 10, 2).await;
    let replayed = dead_letters(&platform, &["replay", first, second]).await;
    let report = replayed.json();
    assert_eq!((replayed.code, &report["sent"], &report["copies"]), (Some(0), &1.into(), &1.into()), "{replayed:?}");
    assert_eq!(report["letters"][1]["copyOf"], first);
    shop.stock_becomes(&sku, 8, 0).await;
    platform.quiet(seconds(20)).await;
    let unfinished: i64 = sqlx::query_scalar("select count(*) from unfinished_orders where order_id = $1")
        .bind(order_id)
        .fetch_one(&platform.database(Part::Orders))
        .await
        .unwrap();
    assert_eq!(unfinished, 0, "the order is settled");

    // Once more: it comes, and changes nothing.
    let (rows, ends) = state(&platform).await;
    let again = dead_letters(&platform, &["replay", first]).await;
    assert_eq!(again.code, Some(0), "{again:?}");
    platform.quiet(seconds(20)).await;
    let (rows_after, ends_after) = state(&platform).await;
    assert_eq!(rows_after, rows);
    assert_ne!(ends_after[0], ends[0], "it was sent");
    assert_eq!(ends_after[1..], ends[1..], "nothing came of it");

    it_went_as_it_was_in_a_trace_of_its_own(&platform, first, &report["letters"][0]).await;
    // Inventory has decided twice on one order: no audit of this platform would be clean any more.
    platform.end();
}

/// Compares what was sent with the letter in `id`, and looks at its trace.
async fn it_went_as_it_was_in_a_trace_of_its_own(platform: &Platform, id: &str, replayed: &Value) {
    let letters = kafka::read_all(platform.kafka(), topics::ORDERS_DEAD_LETTERS).await;
    let letter = letters.iter().find(|letter| lies_at(id, letter)).unwrap();
    let to = replayed["to"].as_str().unwrap();
    let records = kafka::read_all(platform.kafka(), topics::ORDERS).await;
    let record = records.iter().find(|record| lies_at(to, record)).unwrap();
    let kept = |record: &Record| {
        let mut headers = record.headers.clone();
        headers.retain(|(name, _)| !name.starts_with("dlq-") && name != headers::TRACEPARENT);
        headers
    };
    assert_eq!((&record.key, &record.value, kept(record)), (&letter.key, &letter.value, kept(letter)));
    assert_eq!(record.partition, letter.partition, "an order's events are in one partition");
    assert!(!record.headers.iter().any(|(name, _)| name.starts_with("dlq-")), "{:?}", record.headers);

    let trace_id = replayed["traceId"].as_str().unwrap();
    let original = letter.header(headers::TRACEPARENT).unwrap();
    assert!(!original.contains(trace_id), "the original trace does not go on");
    assert!(record.header(headers::TRACEPARENT).unwrap().contains(trace_id));
    let trace = eventually(seconds(15), async || {
        let found = traces::trace(platform.stack.traces.query_url(), trace_id).await?;
        let trace = found.with_context(|| format!("no trace {trace_id}"))?;
        for name in ["replay dead letter", "send orders.v1", "process orders.v1", "send inventory.v1"] {
            ensure!(trace.named(name).len() == 1, "no {name} in {}", trace.outline());
        }
        Ok(trace)
    })
    .await;
    let root = trace.only("replay dead letter");
    assert_eq!((root.service.as_str(), &root.parent), ("orderctl", &None));
    let linked = |(trace, span): &(String, String)| original.contains(trace) && original.contains(span);
    assert!(root.links.iter().any(linked), "{:?} instead of {original}", root.links);
    let sent = trace.only("send orders.v1");
    assert_eq!(trace.parent_of(sent).map(|span| &*span.id), Some(&*root.id));
    let processed = trace.only("process orders.v1");
    assert_eq!(
        (processed.service.as_str(), trace.parent_of(processed).map(|span| &*span.id)),
        (topics::INVENTORY_SERVICE, Some(&*sent.id))
    );
    assert!(trace.orphans().is_empty(), "{}", trace.outline());
}
