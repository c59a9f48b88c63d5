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
/// Placements that are answered before a fault, and after one.
const ANSWERED: usize = 60;

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

/// Callers at work, and what they were promised.
pub(crate) struct UnderLoad {
    callers: Callers,
    journal: Journal,
}

impl UnderLoad {
    /// Puts the platform under load.
    pub(crate) async fn start(platform: &Platform) -> Self {
        let journal = Journal::create(&platform.folder().join(format!("journal-{}", Uuid::new_v4()))).await.unwrap();
        let shops = vec![platform.shop()];
        let callers = Callers::start(&mut chance::seeded(), shops, CALLERS, &journal, &Meter::default()).await;
        Self { callers, journal }
    }

    /// Waits until some more placements were answered.
    pub(crate) async fn goes_on(&self) {
        self.callers.go_on(ANSWERED, seconds(30)).await;
    }

    /// Lets every caller finish, and checks every promise and every rule.
    ///
    /// # Errors
    /// All that is broken.
    pub(crate) async fn finish(self, platform: &Platform) -> Result<Found> {
        let customer = self.callers.customer.clone();
        let mut findings = self.callers.stop().await;
        let found = audit::check(platform, seconds(40)).await;
        let kept = self.journal.check(platform, &customer).await;
        findings
            .extend([found.as_ref().err(), kept.as_ref().err()].into_iter().flatten().map(|one| format!("{one:#}")));
        ensure!(findings.is_empty(), "{}", findings.join("\n"));
        let kept = kept?;
        ensure!(kept.sent == kept.placed, "some placements were never answered: {kept:?}");
        Ok(found?.0)
    }
}

/// Makes one service run with `FAULTS` until it dies of them under load, and go on without them; then checks everything.
///
/// # Errors
/// All that is broken.
pub(crate) async fn crash_at(platform: &mut Platform, part: Part, with: &str) -> Result<Found> {
    let service = platform.service(part);
    service.stop().await;
    service.set("FAULTS", with);
    service.start_ready().await;
    let load = UnderLoad::start(platform).await;
    let service = platform.service(part);
    eventually(seconds(30), async || {
        ensure!(!service.is_running(), "{part:?} lives on with {with}");
        Ok(())
    })
    .await;
    service.kill();
    service.unset("FAULTS");
    service.start_ready().await;
    load.goes_on().await;
    load.finish(platform).await
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
