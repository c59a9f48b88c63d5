//! `orderctl dead-letters` finds every kind of record that can't be processed, in both topics.

use std::collections::BTreeMap;

use anyhow::ensure;
use prost::{Message as _, Name as _};
use proto::events::v1::{OrderFulfilled, StockReserved};
use proto::topics;
use serde_json::Value;
use tests::kafka::{self, Record, partition_of};
use tests::platform::Platform;
use tests::service::Part;
use tests::waiting::{eventually, seconds};
use uuid::Uuid;

use crate::dead_letters::{key_in, poison};
use crate::redelivery::state;
use crate::support::{dead_letters, faults, lies_at};

const PARTITION: i32 = 3;
const LARGE: usize = 5_000_000;

/// What `list` says of the letters of `topic`, by the offset in [`PARTITION`] that they were read from.
async fn listed(platform: &Platform, topic: &str) -> BTreeMap<i64, Value> {
    let listed = dead_letters(platform, &["list", "--topic", topic]).await;
    assert_eq!(listed.code, Some(0), "{listed:?}");
    let letters = listed.json()["deadLetters"].as_array().unwrap().clone();
    let here = letters.into_iter().filter(|letter| letter["sourcePartition"] == PARTITION);
    here.map(|letter| (letter["sourceOffset"].as_i64().unwrap(), letter)).collect()
}

async fn ends(platform: &Platform) -> Vec<BTreeMap<i32, i64>> {
    state(platform).await.1
}

/// Every kind of record that nobody can process, and the reason that it is given up for.
fn poisons(known_type: &str, impossible: Record) -> [(&'static str, Record); 5] {
    let key = || key_in(PARTITION);
    let without_headers = Record { headers: Vec::new(), ..poison(&key(), "", b"no headers".to_vec()) };
    [
        ("undecodable", poison(&key(), known_type, vec![0xff, 0xff, 0xff])),
        ("unknown_type", poison(&key(), "events.v1.OrderPainted", b"who knows".to_vec())),
        ("unknown_type", without_headers),
        ("impossible_transition", Record { key: None, partition: PARTITION, ..impossible }),
        ("too_large", poison(&key(), known_type, vec![0xff; LARGE])),
    ]
}

#[tokio::test]
async fn poison_of_every_kind_on_both_topics_is_given_up_listed_and_shown() {
    let platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("bowl", 500, (3, 0)).await;
    let nobody = key_in(PARTITION);
    let fulfilled = OrderFulfilled { order_id: nobody.clone(), version: 3, ..Default::default() };
    let reserved = StockReserved { order_id: nobody.clone(), version: 1, ..Default::default() };
    let impossible_order = poison(&nobody, &OrderFulfilled::full_name(), fulfilled.encode_to_vec());
    let impossible_stock = poison(&nobody, &StockReserved::full_name(), reserved.encode_to_vec());

    for (topic, dead_letter_topic, known_type, impossible, service) in [
        (
            topics::ORDERS,
            topics::ORDERS_DEAD_LETTERS,
            OrderFulfilled::full_name(),
            impossible_order,
            &platform.inventory,
        ),
        (
            topics::INVENTORY,
            topics::INVENTORY_DEAD_LETTERS,
            StockReserved::full_name(),
            impossible_stock,
            &platform.orders,
        ),
    ] {
        // As whoever runs the brokers may do.
        kafka::limit_batches(platform.kafka(), topic, 6_000_000).await;
        let before = service.metrics().await;
        let mut produced = Vec::new();
        for (reason, record) in poisons(&known_type, impossible) {
            let produce = async || kafka::try_produce(platform.kafka(), topic, &record).await;
            let (partition, offset) = eventually(seconds(10), produce).await;
            assert_eq!(partition, PARTITION);
            produced.push((reason, record, offset));
        }

        let letters = eventually(seconds(30), async || {
            let letters = listed(&platform, topic).await;
            let missing: Vec<_> = produced.iter().filter(|(_, _, offset)| !letters.contains_key(offset)).collect();
            ensure!(missing.is_empty(), "{} of them are no dead letters", missing.len());
            Ok(letters)
        })
        .await;
        let raw = kafka::read_all(platform.kafka(), dead_letter_topic).await;
        for (reason, record, offset) in &produced {
            let letter = &letters[offset];
            let id = letter["id"].as_str().unwrap();
            assert_eq!(letter["reason"], *reason, "{letter}");
            let lying = raw.iter().find(|lying| lies_at(id, lying)).expect("it lies where it is said to");
            assert_eq!((&lying.key, lying.headers.starts_with(&record.headers)), (&record.key, true), "{letter}");
            let shown = dead_letters(&platform, &["show", id]).await;
            assert_eq!(shown.code, Some(0), "{shown:?}");
            let shown = shown.json();
            if *reason == "too_large" {
                assert_eq!((&lying.value, &letter["truncatedBytes"]), (&None, &Value::from(LARGE.to_string())));
            } else {
                assert_eq!(lying.value, record.value);
            }
            let has_event = *reason == "impossible_transition";
            assert_eq!(shown["event"]["orderId"], if has_event { nobody.as_str().into() } else { Value::Null });
        }

        let after = service.metrics().await;
        for (destination, reason, count) in [
            (topic, "undecodable", 2.0), // the large one as well, before it was found to be too large to carry
            (topic, "unknown_type", 2.0),
            (topic, "impossible_transition", 1.0),
            (dead_letter_topic, "too_large", 1.0),
        ] {
            let labels = [("messaging_destination_name", destination), ("reason", reason)];
            let counted = after.sum("dead_letters_total", &labels) - before.sum("dead_letters_total", &labels);
            assert!((counted - count).abs() < 0.5, "{counted} {reason} of {destination}");
        }

        let truncated = produced.iter().find(|(reason, ..)| *reason == "too_large").map(|(_, _, offset)| offset);
        let id = letters[truncated.unwrap()]["id"].as_str().unwrap();
        let ends_before = ends(&platform).await;
        let refused = dead_letters(&platform, &["replay", id]).await;
        assert_eq!((refused.code, &refused.json()["notReplayable"]), (Some(1), &1.into()), "{refused:?}");
        let dry = dead_letters(&platform, &["replay", "--all", "--topic", topic, "--dry-run"]).await;
        assert_eq!(dry.code, Some(1), "one of them can't go: {dry:?}");
        assert!(dry.json()["sent"].as_u64() >= Some(4), "{dry:?}");
        assert_eq!(ends(&platform).await, ends_before, "nothing was sent");
    }

    // Both partitions go on: a cancellation reaches inventory, and what inventory did reaches orders, through Kafka only.
    let order = loop {
        let order = shop.place(&[(&sku, 1)]).await;
        if partition_of(order.order_id.as_bytes()) == PARTITION {
            break order;
        }
    };
    let reserved = shop.item(&sku).await.reserved;
    shop.cancel(&order.order_id, "").await.unwrap();
    shop.stock_becomes(&sku, 500, reserved - 1).await;
    platform.quiet(seconds(20)).await;
    let unfinished: i64 = sqlx::query_scalar("select count(*) from unfinished_orders where order_id = $1")
        .bind(order.order_id.parse::<Uuid>().unwrap())
        .fetch_one(&platform.database(Part::Orders))
        .await
        .unwrap();
    assert_eq!(unfinished, 0, "inventory's event came through");
    // Later tests would read the large records again and again.
    platform.end();
}
