//! Processes die under load: nothing that was acknowledged is lost, nothing happens twice.

use tests::waiting::seconds;

use crate::support::{UnderLoad, faults};

#[tokio::test]
async fn order_service_killed_under_load_loses_no_acknowledged_order() {
    let mut platform = faults().await;
    let load = UnderLoad::start(&platform).await;
    load.goes_on().await;
    for _ in 0..2 {
        load.goes_on().await;
        platform.orders.kill();
        platform.orders.start_ready().await;
    }
    load.goes_on().await;
    load.finish(&platform).await.unwrap();
}

#[tokio::test]
async fn inventory_killed_under_load_sells_nothing_twice() {
    let mut platform = faults().await;
    let load = UnderLoad::start(&platform).await;
    load.goes_on().await;
    platform.inventory.kill();
    load.goes_on().await;
    platform.inventory.start_ready().await;
    load.goes_on().await;
    load.finish(&platform).await.unwrap();
}

#[tokio::test]
async fn crash_of_the_database_under_load_loses_no_acknowledged_order() {
    let mut platform = faults().await;
    let load = UnderLoad::start(&platform).await;
    load.goes_on().await;
    platform.stack.postgres.kill().await.unwrap();
    platform.stack.postgres.restart().await.unwrap();
    load.goes_on().await;
    load.finish(&platform).await.unwrap();
    assert!(platform.orders.is_running() && platform.inventory.is_running(), "they live through it");
}

#[tokio::test]
async fn broker_killed_under_load_delays_events_and_no_order() {
    let mut platform = faults().await;
    let load = UnderLoad::start(&platform).await;
    load.goes_on().await;
    platform.stack.kafka.kill().await.unwrap();
    load.goes_on().await;
    let reason = platform.orders.component(seconds(15), "kafka", "down").await;
    assert!(reason.contains(platform.kafka()), "{reason}");
    platform.stack.kafka.restart().await.unwrap();
    load.goes_on().await;
    load.finish(&platform).await.unwrap();
}
