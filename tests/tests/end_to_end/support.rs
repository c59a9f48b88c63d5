//! What all tests share: the program that they were built with, and how a platform is doubled.

use anyhow::{Result, ensure};
use tests::audit::{self, Found};
use tests::chance;
use tests::chaos::callers::Callers;
use tests::chaos::journal::Journal;
use tests::chaos::meter::Meter;
use tests::kafka::Record;
use tests::orderctl::{self, Called};
use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::shared::{self, Calm, Faults};
use tests::waiting::{eventually, seconds};
use uuid::Uuid;

const CALLERS: usize = 12;
/// Orders that are decided after a crash before the callers stop.
const DECIDED_AFTER: u64 = 60;

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

/// Makes one service run with `FAULTS` until it dies of them under load, and go on without them; then audits everything.
///
/// # Errors
/// What is broken.
pub(crate) async fn crash_at(platform: &mut Platform, part: Part, with: &str) -> Result<Found> {
    let journal = Journal::create(&platform.folder().join(format!("journal-{}", Uuid::new_v4()))).await?;
    let meter = Meter::default();
    let service = platform.service(part);
    service.stop().await;
    service.set("FAULTS", with);
    service.start_ready().await;
    let mut chance = chance::seeded();
    let callers = Callers::start(&mut chance, vec![platform.shop()], CALLERS, &journal, &meter).await;
    let service = platform.service(part);
    eventually(seconds(30), async || {
        ensure!(!service.is_running(), "{part:?} lives on with {with}");
        Ok(())
    })
    .await;
    service.kill();
    service.unset("FAULTS");
    service.start_ready().await;
    let decided = meter.total();
    eventually(seconds(20), async || {
        ensure!(callers.have_findings() || meter.total() >= decided + DECIDED_AFTER, "the callers do not go on");
        Ok(())
    })
    .await;
    let findings = callers.stop().await;
    ensure!(findings.is_empty(), "{}", findings.join("\n"));
    let found = audit::check(platform, seconds(40)).await?;
    journal.check(platform).await?;
    Ok(found)
}

/// Calls `orderctl dead-letters --json` with `arguments`.
pub(crate) async fn dead_letters(platform: &Platform, arguments: &[&str]) -> Called {
    let arguments: Vec<&str> = ["dead-letters", "--json"].iter().chain(arguments).copied().collect();
    orderctl::call(PROGRAM, platform, &arguments).await
}

/// Whether `place`, as `orderctl dead-letters` writes it, is where a record of its topic lies.
pub(crate) fn lies_at(place: &str, record: &Record) -> bool {
    place.ends_with(&format!("/{}@{}", record.partition, record.offset))
}
