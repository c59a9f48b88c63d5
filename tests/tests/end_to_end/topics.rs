//! Topics change under the running services.

use anyhow::ensure;
use proto::orders::v1::OrderStatus;
use proto::topics;
use tests::kafka;
use tests::platform::Platform;
use tests::service::Part;
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};

use crate::support::faults;

/// Longer than clients take to look at a topic anew when nothing tells them to.
const LIMIT: u64 = 90;
const ORDERS: usize = 20;

/// Orders that are confirmed at once and then cancelled: their stock comes back by an event, and they are settled by one.
async fn events_go_both_ways(platform: &Platform, shop: &mut Shop, sku: &str) {
    let mut orders = Vec::new();
    for _ in 0..ORDERS {
        let order = shop.place(&[(sku, 1)]).await;
        assert_eq!(order.status(), OrderStatus::Confirmed, "orders are taken whatever becomes of topics");
        orders.push(order);
    }
    for order in orders {
        shop.cancel(&order.order_id, "").await.unwrap();
    }
    let database = platform.database(Part::Orders);
    eventually(seconds(LIMIT), async || {
        let reserved = shop.item(sku).await.reserved;
        ensure!(reserved == 0, "{reserved} units are still held");
        let unsettled: i64 = sqlx::query_scalar("select count(*) from unfinished_orders").fetch_one(&database).await?;
        ensure!(unsettled == 0, "{unsettled} orders are not settled");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn topics_that_are_deleted_are_made_again_and_no_order_is_stuck() {
    let mut platform = faults().await;
    // A new topic may already be longer than the old one was read: what lies below that position is never read, and the
    // sweep does what it asks for.
    platform.orders.set("SWEEP_AFTER", "2s");
    platform.orders.restart().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("phoenix", 1_000, (1, 0)).await;
    events_go_both_ways(&platform, &mut shop, &sku).await;
    for topic in [topics::ORDERS, topics::INVENTORY] {
        kafka::delete(platform.kafka(), topic).await;
    }
    events_go_both_ways(&platform, &mut shop, &sku).await;
    // The events of all orders before are gone: no audit of this platform would be clean any more.
    platform.end();
}

#[tokio::test]
async fn topics_that_get_more_partitions_go_on() {
    let platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("hydra", 1_000, (1, 0)).await;
    events_go_both_ways(&platform, &mut shop, &sku).await;
    for topic in [topics::ORDERS, topics::INVENTORY] {
        kafka::grow(platform.kafka(), topic, 9).await;
    }
    // Twice: the second time clients have had time to find the new partitions and to use them.
    events_go_both_ways(&platform, &mut shop, &sku).await;
    eventually(seconds(LIMIT), async || {
        shop.place(&[(&sku, 1)]).await;
        let high = kafka::end(platform.kafka(), topics::ORDERS, 8).await?;
        ensure!(high > 0, "nobody uses the new partitions");
        Ok(())
    })
    .await;
    events_go_both_ways_again(&platform, &mut shop).await;
    // Keys moved to other partitions, which the audit takes for a mistake.
    platform.end();
}

async fn events_go_both_ways_again(platform: &Platform, shop: &mut Shop) {
    let sku = shop.stocked("hydra-again", 1_000, (1, 0)).await;
    events_go_both_ways(platform, shop, &sku).await;
}
