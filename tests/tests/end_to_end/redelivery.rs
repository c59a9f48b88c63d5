//! Records come again: nothing changes. Records get lost: the sweep goes on.

use std::collections::BTreeMap;

use futures::StreamExt as _;
use proto::orders::v1::OrderStatus;
use proto::topics;
use sqlx::PgPool;
use tests::audit;
use tests::kafka;
use tests::platform::Platform;
use tests::service::Part;
use tests::waiting::seconds;

use crate::support::faults;

/// Records that are produced at the same time.
const AT_ONCE: usize = 16;
const TOPICS: [&str; 4] =
    [topics::ORDERS, topics::INVENTORY, topics::ORDERS_DEAD_LETTERS, topics::INVENTORY_DEAD_LETTERS];

/// All rows of a table as text, in order.
async fn rows(database: &PgPool, table: &'static str) -> Vec<String> {
    let statement = format!("select t::text from {table} t order by 1");
    sqlx::query_scalar(sqlx::AssertSqlSafe(statement)).fetch_all(database).await.unwrap()
}

/// Everything that redelivery must not change: rows, and where topics end.
pub(crate) async fn state(platform: &Platform) -> (Vec<String>, Vec<BTreeMap<i32, i64>>) {
    let (orders, inventory) = (platform.database(Part::Orders), platform.database(Part::Inventory));
    let mut all = Vec::new();
    for (database, table) in [
        (&orders, "orders"),
        (&orders, "unfinished_orders"),
        (&inventory, "reservations"),
        (&inventory, "stock"),
        (&inventory, "imported_rows"),
    ] {
        all.extend(rows(database, table).await);
    }
    let mut ends = Vec::new();
    for topic in TOPICS {
        ends.push(kafka::ends(platform.kafka(), topic).await.unwrap());
    }
    (all, ends)
}

async fn move_positions(database: &PgPool, topic: &str, to: &BTreeMap<i32, i64>) {
    for (partition, offset) in to {
        let moved = sqlx::query("update consumer_positions set next_offset = $3 where topic = $1 and partition = $2")
            .bind(topic)
            .bind(partition)
            .bind(offset)
            .execute(database)
            .await
            .unwrap();
        assert_eq!(moved.rows_affected(), 1, "a position of {topic}/{partition}");
    }
}

#[tokio::test]
async fn records_that_come_again_change_nothing() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    platform.quiet(seconds(20)).await;
    // Not 0: what earlier tests did to this platform's topics is not this test's.
    let begin_orders = kafka::ends(platform.kafka(), topics::ORDERS).await.unwrap();
    let begin_stock = kafka::ends(platform.kafka(), topics::INVENTORY).await.unwrap();
    let sku = shop.stocked("book", 20, (11, 0)).await;
    for _ in 0..6 {
        shop.place(&[(&sku, 1)]).await;
        let cancelled = shop.place(&[(&sku, 1)]).await;
        shop.cancel(&cancelled.order_id, "").await.unwrap();
        let fulfilled = shop.place(&[(&sku, 1)]).await;
        shop.fulfil(&fulfilled.order_id).await.unwrap();
        let rejected = shop.place(&[(&sku, 1_000)]).await;
        assert_eq!(rejected.status(), OrderStatus::Rejected);
    }
    audit::whole(&platform, seconds(20)).await;
    platform.orders.stop().await;
    platform.inventory.stop().await;
    let before = state(&platform).await;

    move_positions(&platform.database(Part::Inventory), topics::ORDERS, &begin_orders).await;
    move_positions(&platform.database(Part::Orders), topics::INVENTORY, &begin_stock).await;
    platform.inventory.start_ready().await;
    platform.orders.start_ready().await;
    let found = audit::whole(&platform, seconds(30)).await;

    assert!(found.orders >= 24);
    assert_eq!(state(&platform).await, before);
    let again = |replica: &tests::metrics::Metrics, outcome| {
        replica.sum("messaging_process_duration_seconds_count", &[("outcome", outcome)])
    };
    // 24 placed, 18 confirmed, 6 rejected, 6 cancelled, 6 fulfilled; 24 decided, 6 released, 6 shipped.
    for (service, records) in [(&platform.inventory, 60.0), (&platform.orders, 36.0)] {
        let metrics = service.metrics().await;
        assert_eq!((again(&metrics, "ignored"), again(&metrics, "ok")), (records, 0.0), "every record came again");
    }
}

#[tokio::test]
async fn topics_that_are_produced_once_more_change_nothing() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("echo", 20, (11, 0)).await;
    for _ in 0..4 {
        shop.place(&[(&sku, 1)]).await;
        let cancelled = shop.place(&[(&sku, 1)]).await;
        shop.cancel(&cancelled.order_id, "").await.unwrap();
        let fulfilled = shop.place(&[(&sku, 1)]).await;
        shop.fulfil(&fulfilled.order_id).await.unwrap();
        shop.place(&[(&sku, 1_000)]).await;
    }
    let once = audit::whole(&platform, seconds(20)).await;
    // Who has forgotten what it did asks the database.
    platform.orders.restart().await;
    platform.inventory.restart().await;
    let (tables, _) = state(&platform).await;
    let letters = audit::dead_letters::count(&platform).await;

    for topic in [topics::ORDERS, topics::INVENTORY] {
        let records = kafka::read_all(platform.kafka(), topic).await;
        let again = records.iter().map(|record| kafka::produce(platform.kafka(), topic, record));
        // Each has a producer of its own.
        futures::stream::iter(again).buffered(AT_ONCE).collect::<Vec<_>>().await;
    }
    let twice = audit::whole(&platform, seconds(30)).await;

    assert_eq!(state(&platform).await.0, tables);
    assert_eq!(audit::dead_letters::count(&platform).await, letters, "nothing is given up");
    assert_eq!((twice.orders, twice.events), (once.orders, once.events));
    assert_eq!(twice.duplicates, once.events + 2 * once.duplicates, "every record came twice");
}

#[tokio::test]
async fn sweep_finishes_what_lost_events_left_unfinished() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("globe", 20, (11, 0)).await;
    let cancelled = shop.place(&[(&sku, 3)]).await;
    platform.quiet(seconds(20)).await;

    platform.inventory.kill();
    let pending = shop.place(&[(&sku, 1)]).await;
    assert_eq!(pending.status(), OrderStatus::Pending);
    shop.cancel(&cancelled.order_id, "").await.unwrap();
    let outbox = platform.database(Part::Orders);
    tests::waiting::eventually(seconds(10), async || {
        let waiting: i64 = sqlx::query_scalar("select count(*) from outbox").fetch_one(&outbox).await?;
        anyhow::ensure!(waiting == 0, "{waiting} events are not published");
        Ok(())
    })
    .await;
    // Inventory never sees those events.
    let ends = kafka::ends(platform.kafka(), topics::ORDERS).await.unwrap();
    move_positions(&platform.database(Part::Inventory), topics::ORDERS, &ends).await;
    platform.orders.stop().await;
    // What is on the work list was put there with the long pause of the other tests.
    sqlx::query("update unfinished_orders set next_attempt_at = now()").execute(&outbox).await.unwrap();
    platform.orders.set("SWEEP_AFTER", "1s");
    platform.inventory.start_ready().await;
    platform.orders.start_ready().await;

    shop.becomes(&pending.order_id, OrderStatus::Confirmed, 20).await;
    shop.stock_becomes(&sku, 20, 1).await;
    audit::whole(&platform, seconds(20)).await;
}
