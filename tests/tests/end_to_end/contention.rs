//! Many callers who want the same few things, over two replicas of each service.

use std::collections::BTreeSet;

use anyhow::ensure;
use futures::future::join_all;
use proto::orders::v1::{Order, OrderStatus};
use proto::reasons;
use rand::RngExt as _;
use sqlx::PgPool;
use tests::service::Part;
use tests::shop::Shop;
use tests::traffic::{Fates, Traffic, assert_told_the_truth};
use tests::waiting::{eventually, seconds};
use tests::{audit, chance, patience};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::support::{faults, second_replicas};

const UNITS: i64 = 100;
const ORDERS: u32 = 500;

/// Looks at one SKU as fast as it can, until it is told to stop.
struct Watcher {
    stop: oneshot::Sender<()>,
    watching: JoinHandle<BTreeSet<i64>>,
}

impl Watcher {
    fn start(inventory: PgPool, sku: &str) -> Self {
        let (stop, mut stopped) = oneshot::channel();
        let sku = sku.to_owned();
        let watching = tokio::spawn(async move {
            let mut seen = BTreeSet::new();
            while stopped.try_recv() == Err(oneshot::error::TryRecvError::Empty) {
                let (reserved, held) = reserved_and_held(&inventory, &sku).await;
                assert!((0..=UNITS).contains(&reserved), "{reserved} of {UNITS} units are reserved");
                assert_eq!(reserved, held, "what is reserved is what reservations hold, at any moment");
                seen.insert(reserved);
            }
            seen
        });
        Self { stop, watching }
    }

    /// Every number of reserved units that was seen.
    async fn stop(self) -> BTreeSet<i64> {
        self.stop.send(()).expect("it has not failed yet");
        self.watching.await.expect("every look showed what it should")
    }
}

/// Units that the SKU's row counts, and units in lines of HELD reservations, in one snapshot.
async fn reserved_and_held(inventory: &PgPool, sku: &str) -> (i64, i64) {
    sqlx::query_as(
        "select reserved,
                (select coalesce(sum((line->>'quantity')::bigint), 0)::bigint
                 from reservations cross join jsonb_array_elements(lines) as line
                 where status = 1 and line->>'sku' = $1)
         from stock where sku = $1",
    )
    .bind(sku)
    .fetch_one(inventory)
    .await
    .expect("the database answers")
}

/// The order once it is decided: whoever was answered PENDING has to wait a moment.
async fn decided(shop: &mut Shop, order: Order) -> Order {
    if order.status() != OrderStatus::Pending {
        return order;
    }
    eventually(seconds(20), async || {
        let order = shop.order(&order.order_id).await;
        ensure!(order.status() != OrderStatus::Pending, "{} is pending", order.order_id);
        Ok(order)
    })
    .await
}

#[tokio::test]
async fn five_hundred_orders_of_one_to_three_units_on_a_hundred_never_hold_more() {
    let mut platform = faults().await;
    // Small batches: many transactions meet on the row, and the watcher sees it fill.
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[("WRITER_BATCH", "4")]).await;
    let mut chance = chance::seeded();
    let mut shop = platform.shop();
    let sku = shop.stocked("rare", UNITS, (5, 0)).await;
    let watcher = Watcher::start(platform.database(Part::Inventory), &sku);

    let calls = (0..ORDERS).map(|number| {
        let mut caller = shop.clone();
        if number % 2 == 1 {
            caller.orders = second.orders();
        }
        let mut request = caller.request(&[(&sku, chance.random_range(1..=3))]);
        request.request_id = Uuid::new_v4().to_string();
        async move { patience::place(&caller, &request).await }
    });
    let placed = join_all(calls).await;
    let mut orders = Vec::new();
    for order in placed {
        orders.push(decided(&mut shop, order).await);
    }
    let seen = watcher.stop().await;
    eprintln!("reserved units that were seen: {seen:?}");
    assert!(seen.len() > 5, "the watcher has to see the stock go, and saw {seen:?}");

    let (sold, refused): (Vec<&Order>, Vec<&Order>) =
        orders.iter().partition(|order| order.status() == OrderStatus::Confirmed);
    let units: i64 = sold.iter().map(|order| i64::from(order.lines[0].quantity)).sum();
    let left = UNITS - units;
    assert!(left >= 0, "{units} of {UNITS} units were sold");
    assert!(!sold.is_empty() && !refused.is_empty());
    for order in refused {
        assert_eq!((order.status(), &*order.status_reason), (OrderStatus::Rejected, reasons::OUT_OF_STOCK));
        let (short, wanted) = (&order.shortages[0], i64::from(order.lines[0].quantity));
        assert_eq!(i64::from(short.requested), wanted);
        // Nothing is given back, so there never was less than there is left.
        assert!(
            (left..wanted).contains(&short.available),
            "{} wanted {wanted}, was told that there are {}, and {left} are left",
            order.order_id,
            short.available
        );
    }
    shop.stock_becomes(&sku, UNITS, units).await;
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn orders_that_are_cancelled_and_fulfilled_at_any_moment_leave_everything_adding_up() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut chance = chance::seeded();
    let mut shop = platform.shop();
    let mut skus = Vec::new();
    for number in 0..20 {
        // Every fourth is soon gone, and comes back only with cancellations.
        let units = if number % 4 == 0 { 40 } else { 100_000 };
        skus.push(shop.stocked(&format!("part-{number}"), units, (2, 500_000_000)).await);
    }
    let other = Shop { orders: second.orders(), ..shop.clone() };

    let dead_letters = audit::dead_letters::count(&platform).await;
    let traffic = Traffic::start(&mut chance, &[shop, other], &skus, 40, 2_000);
    let purchases = traffic.done().await;

    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(60)).await;
    assert_eq!(audit::dead_letters::count(&platform).await, dead_letters, "no event is given up");
    let fates = assert_told_the_truth(&purchases, &platform.database(Part::Orders)).await;
    eprintln!("{fates:?}");
    let Fates { confirmed, rejected, cancelled, fulfilled, cancelled_while_pending, contested } = fates;
    for (what, number) in [
        ("sold", confirmed),
        ("rejected", rejected),
        ("cancelled", cancelled),
        ("fulfilled", fulfilled),
        ("cancelled while it was pending", cancelled_while_pending),
        ("both cancelled and fulfilled", contested),
    ] {
        assert!(number > 0, "no order was {what}, so nothing was shown of such: {fates:?}");
    }
}
