//! Records that nobody can process go to the dead letters, as they were; their partition goes on.

use std::collections::BTreeMap;

use anyhow::{Context as _, ensure};
use futures::future::join_all;
use prost::{Message as _, Name as _};
use proto::events::v1::{OrderFulfilled, OrderPlaced};
use proto::orders::v1::OrderStatus;
use proto::{headers, topics};
use tests::kafka::{self, Record, partition_of};
use tests::waiting::{eventually, seconds};
use uuid::Uuid;

use crate::support::{calm, faults};

pub(crate) fn poison(key: &str, event_type: &str, value: Vec<u8>) -> Record {
    let text = |text: &str| Some(text.as_bytes().to_vec());
    Record {
        key: Some(key.as_bytes().to_vec()),
        value: Some(value),
        headers: vec![
            (headers::CE_ID.to_owned(), text(&Uuid::now_v7().to_string())),
            (headers::CE_TYPE.to_owned(), text(event_type)),
            (headers::CE_SOURCE.to_owned(), text("end-to-end-tests")),
            ("x-binary".to_owned(), Some(vec![0, 159, 146, 150])),
            ("x-twice".to_owned(), text("one")),
            ("x-twice".to_owned(), None),
        ],
        ..Record::default()
    }
}

/// An order id whose records go to that partition.
pub(crate) fn key_in(partition: i32) -> String {
    std::iter::repeat_with(|| Uuid::now_v7().to_string())
        .find(|key| partition_of(key.as_bytes()) == partition)
        .expect("every sixth does")
}

#[test]
fn keys_are_placed_as_java_clients_place_them() {
    // Values of org.apache.kafka.common.utils.UtilsTest.
    for (key, hash) in [
        ("21", -973_932_308),
        ("foobar", -790_332_482),
        ("a-little-bit-long-string", -985_981_536),
        ("a-little-bit-longer-string", -1_486_304_829),
        ("lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58_897_971),
        ("abc", 479_470_107),
    ] {
        assert_eq!(kafka::murmur2(key.as_bytes()).cast_signed(), hash, "{key}");
    }
}

#[tokio::test]
async fn poison_becomes_a_dead_letter_as_it_was_and_its_partition_goes_on() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("vase", 500, (3, 0)).await;
    let partition = 4;
    let unknown_order = key_in(partition);
    let fulfilled = OrderFulfilled {
        order_id: unknown_order.clone(),
        customer_id: "nobody".to_owned(),
        version: 3,
        ..Default::default()
    };
    let cases = [
        ("undecodable", poison(&key_in(partition), &OrderPlaced::full_name(), vec![0xff, 0xff, 0xff])),
        ("unknown_type", poison(&key_in(partition), "events.v1.OrderPainted", b"who knows".to_vec())),
        ("impossible_transition", poison(&unknown_order, &OrderFulfilled::full_name(), fulfilled.encode_to_vec())),
    ];
    let mut produced = Vec::new();
    for (reason, record) in cases {
        let (in_partition, offset) = kafka::produce(platform.kafka(), topics::ORDERS, &record).await;
        assert_eq!(in_partition, partition);
        produced.push((reason, record, offset));
    }

    for (reason, record, offset) in &produced {
        let letter = eventually(seconds(15), async || {
            let letters = kafka::read_all(platform.kafka(), topics::ORDERS_DEAD_LETTERS).await;
            let mine: Vec<Record> = letters.into_iter().filter(|letter| letter.key == record.key).collect();
            ensure!(mine.len() <= 1, "{} dead letters of one record", mine.len());
            mine.into_iter().next().with_context(|| format!("no dead letter of the {reason} record"))
        })
        .await;
        assert_eq!(letter.value, record.value);
        assert_eq!(letter.headers[..record.headers.len()], record.headers, "headers stay as they were");
        for (name, value) in [
            (headers::DLQ_REASON, (*reason).to_owned()),
            (headers::DLQ_TOPIC, topics::ORDERS.to_owned()),
            (headers::DLQ_PARTITION, partition.to_string()),
            (headers::DLQ_OFFSET, offset.to_string()),
            (headers::DLQ_GROUP, topics::INVENTORY_SERVICE.to_owned()),
        ] {
            assert_eq!(letter.header(name), Some(&*value), "{name}");
        }
        assert!(letter.header(headers::DLQ_ERROR).is_some_and(|error| !error.is_empty()));
        assert!(letter.header(headers::DLQ_TIME).is_some_and(|time| time.ends_with('Z')));
        assert_eq!(letter.header(headers::DLQ_TRUNCATED), None);
        let metrics = platform.inventory.metrics().await;
        let labels = [("messaging_destination_name", topics::ORDERS), ("reason", *reason)];
        assert!(metrics.sum("dead_letters_total", &labels) >= 1.0, "{reason}");
    }

    // A cancellation reaches inventory through Kafka only.
    let order = loop {
        let order = shop.place(&[(&sku, 1)]).await;
        if partition_of(order.order_id.as_bytes()) == partition {
            break order;
        }
    };
    let reserved = shop.item(&sku).await.reserved;
    shop.cancel(&order.order_id, "").await.unwrap();
    shop.stock_becomes(&sku, 500, reserved - 1).await;
}

#[tokio::test]
async fn event_that_its_topic_refuses_becomes_a_dead_letter_and_those_committed_with_it_are_published() {
    const LIMIT: u32 = 2_000;
    let platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("stamp", 100, (1, 0)).await;
    let first = shop.place(&[(&sku, 1)]).await;
    platform.quiet(seconds(20)).await;
    kafka::limit_batches(platform.kafka(), topics::ORDERS, LIMIT).await;

    // Names that can't be packed: the event of this order is twice the limit whatever is done to it.
    let names: Vec<String> = (0..100).map(|_| Uuid::new_v4().to_string()).collect();
    let lines: Vec<(&str, u32)> = names.iter().map(|name| (name.as_str(), 1)).collect();
    let calls = (0..21).map(|number| {
        let mut caller = shop.clone();
        let lines = if number == 10 { lines.clone() } else { vec![(sku.as_str(), 1)] };
        async move { caller.place(&lines).await }
    });
    let mut orders = join_all(calls).await;
    let large = orders.remove(10);
    orders.push(first);
    assert_eq!(large.status(), OrderStatus::Rejected);

    // Whatever the broker refuses costs the relay its producer, and some rows are found out about one by one.
    eventually(seconds(60), async || {
        let mut events: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in kafka::read_all(platform.kafka(), topics::ORDERS).await {
            let event = record.header(headers::CE_TYPE).unwrap_or_default().to_owned();
            let of_order = events.entry(record.key_text().unwrap_or_default().to_owned()).or_default();
            if !of_order.contains(&event) {
                of_order.push(event);
            }
        }
        for order in &orders {
            let found = events.get(&order.order_id);
            let expected = ["events.v1.OrderPlaced", "events.v1.OrderConfirmed"].map(str::to_owned);
            ensure!(found.is_some_and(|found| *found == expected), "{} has the events {found:?}", order.order_id);
        }
        let found = events.get(&large.order_id);
        ensure!(found == Some(&vec!["events.v1.OrderRejected".to_owned()]), "the large order has {found:?}");
        Ok(())
    })
    .await;
    let letters = kafka::read_all(platform.kafka(), topics::ORDERS_DEAD_LETTERS).await;
    let of_large: Vec<&Record> = letters.iter().filter(|letter| letter.key_text() == Some(&large.order_id)).collect();
    let [letter] = of_large[..] else { panic!("one dead letter: {of_large:?}") };
    assert_eq!(letter.header(headers::DLQ_REASON), Some("too_large"));
    assert_eq!(letter.header(headers::DLQ_TOPIC), Some(topics::ORDERS));
    assert_eq!(letter.header(headers::CE_TYPE), Some("events.v1.OrderPlaced"));
    let truncated: u32 = letter.header(headers::DLQ_TRUNCATED).expect("it says so").parse().unwrap();
    assert!(letter.value.is_none() && truncated > LIMIT, "{truncated} bytes were left out");
    // An event is missing for good: no audit of this platform would be clean any more.
    platform.end();
}
