//! Processes die under load: nothing that was acknowledged is lost, nothing happens twice.

use tests::audit;
use tests::load::{Load, assert_all_there};
use tests::platform::Platform;
use tests::service::Part;
use tests::shop::Shop;
use tests::waiting::seconds;

use crate::support::faults;

const WORKERS: usize = 12;
const BEFORE: usize = 60;
const AFTER: usize = 60;

async fn begin_load(shop: &mut Shop) -> Load {
    let mut skus = Vec::new();
    for name in ["nut", "bolt", "washer"] {
        skus.push(shop.stocked(name, 1_000_000, (0, 100_000_000)).await);
    }
    let load = Load::start(shop, &skus, WORKERS);
    load.goes_on(BEFORE, seconds(20)).await;
    load
}

async fn everything_is_there(platform: &Platform, shop: &Shop, load: Load) {
    let journal = load.stop().await;
    audit::whole(platform, seconds(40)).await;
    assert_all_there(&journal, &shop.customer, &platform.database(Part::Orders)).await;
}

#[tokio::test]
async fn order_service_killed_under_load_loses_no_acknowledged_order() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let load = begin_load(&mut shop).await;
    for _ in 0..2 {
        load.goes_on(BEFORE, seconds(20)).await;
        platform.orders.kill();
        platform.orders.start_ready().await;
    }
    load.goes_on(AFTER, seconds(20)).await;
    everything_is_there(&platform, &shop, load).await;
}

#[tokio::test]
async fn inventory_killed_under_load_sells_nothing_twice() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let load = begin_load(&mut shop).await;
    platform.inventory.kill();
    load.goes_on(BEFORE, seconds(20)).await;
    platform.inventory.start_ready().await;
    load.goes_on(AFTER, seconds(20)).await;
    everything_is_there(&platform, &shop, load).await;
}

#[tokio::test]
async fn crash_of_the_database_under_load_loses_no_acknowledged_order() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let load = begin_load(&mut shop).await;
    platform.stack.postgres.kill().await.unwrap();
    platform.stack.postgres.restart().await.unwrap();
    load.goes_on(AFTER, seconds(20)).await;
    everything_is_there(&platform, &shop, load).await;
    assert!(platform.orders.is_running() && platform.inventory.is_running(), "they live through it");
}

#[tokio::test]
async fn broker_killed_under_load_delays_events_and_no_order() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let load = begin_load(&mut shop).await;
    platform.stack.kafka.kill().await.unwrap();
    load.goes_on(AFTER, seconds(20)).await;
    let reason = platform.orders.component(seconds(15), "kafka", "down").await;
    assert!(reason.contains(platform.kafka()), "{reason}");
    platform.stack.kafka.restart().await.unwrap();
    load.goes_on(AFTER, seconds(20)).await;
    everything_is_there(&platform, &shop, load).await;
}
