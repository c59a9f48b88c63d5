//! What all tests share: the program that they were built with, and how a platform is doubled.

use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::shared::{self, Calm, Faults};

/// Both services.
pub(crate) const PROGRAM: &str = env!("CARGO_BIN_EXE_platform");

/// The platform that nobody harms.
pub(crate) async fn calm() -> Calm {
    shared::calm(PROGRAM).await
}

/// The platform that this test alone may break.
pub(crate) async fn faults() -> Faults {
    shared::faults(PROGRAM).await
}

/// A second order service and a second inventory; both order services know both inventories, and those have `settings`.
pub(crate) async fn second_replicas(platform: &mut Platform, settings: &[(&str, &str)]) -> (Service, Service) {
    let mut inventory = platform.replica(Part::Inventory, "inventory-svc-2");
    for (name, value) in settings {
        inventory.set(name, *value);
        platform.inventory.set(name, *value);
    }
    if !settings.is_empty() {
        platform.inventory.restart().await;
    }
    inventory.start_ready().await;
    let endpoints = format!("{},{}", platform.inventory.address(), inventory.address());
    let mut orders = platform.replica(Part::Orders, "order-svc-2");
    orders.set("INVENTORY_ENDPOINTS", endpoints.clone());
    orders.start_ready().await;
    platform.orders.set("INVENTORY_ENDPOINTS", endpoints);
    platform.orders.restart().await;
    (orders, inventory)
}
