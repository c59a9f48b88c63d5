//! Callers who place orders and cancel or fulfil some of them, at random moments and also both at once, and what they
//! were told.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{ListOrdersRequest, Order, OrderStatus, PlaceOrderRequest};
use proto::reasons;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tonic::Code;
use uuid::Uuid;

use crate::patience::{self, PATIENCE, answered};
use crate::refusal::Refusal;
use crate::shop::Shop;

const MOST_LINES: usize = 3;
const MOST_UNITS: u32 = 3;
/// Longest time between an order's placement and its end.
const LONGEST_PAUSE: Duration = Duration::from_millis(50);

/// Callers at work.
#[derive(Debug)]
pub struct Traffic {
    left: Arc<AtomicUsize>,
    callers: Vec<JoinHandle<Vec<Purchase>>>,
}

/// One order, and what its callers were told of it.
#[derive(Debug)]
pub struct Purchase {
    request: PlaceOrderRequest,
    placed: Order,
    cancelled: Told,
    fulfilled: Told,
}

/// What somebody was told who wanted to end an order; `None` when nobody did.
type Told = Option<Result<Order, Box<Refusal>>>;

/// What became of the orders of a [`Traffic`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fates {
    /// Sold, and neither cancelled nor fulfilled.
    pub confirmed: usize,
    /// Not to be had.
    pub rejected: usize,
    /// Cancelled.
    pub cancelled: usize,
    /// Fulfilled.
    pub fulfilled: usize,
    /// Cancelled before they were confirmed; among the cancelled.
    pub cancelled_while_pending: usize,
    /// Cancelled by one caller and fulfilled by another; counted above, too.
    pub contested: usize,
}

/// How an order is to end.
struct Ending {
    cancel: bool,
    fulfil: bool,
    /// `None`: as soon as it can be seen, while its placement is still on the way.
    pause: Option<Duration>,
}

struct Caller {
    /// One of each replica.
    shops: Vec<Shop>,
    skus: Vec<String>,
    chance: StdRng,
}

impl Traffic {
    /// Starts `callers`, each a customer of its own, who place `orders` together: 1 to 3 lines of `skus`, through one
    /// of `shops`, which stand for the replicas, at random.
    #[must_use]
    pub fn start(chance: &mut StdRng, shops: &[Shop], skus: &[String], callers: usize, orders: usize) -> Self {
        let left = Arc::new(AtomicUsize::new(orders));
        let caller = |number: usize| {
            let mut shops = shops.to_vec();
            for shop in &mut shops {
                shop.customer = format!("{}-{number}", shop.customer);
            }
            let mut caller = Caller { shops, skus: skus.to_vec(), chance: StdRng::from_rng(chance) };
            let left = Arc::clone(&left);
            tokio::spawn(async move {
                let mut purchases = Vec::new();
                while left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_ok() {
                    purchases.push(Box::pin(caller.buy()).await);
                }
                purchases
            })
        };
        Self { callers: (0..callers).map(caller).collect(), left }
    }

    /// Tells the callers to place no more orders.
    pub fn no_more(&self) {
        self.left.store(0, Ordering::Relaxed);
    }

    /// Waits until every caller is done, and returns what they were told.
    ///
    /// # Panics
    /// When one was told what must not be; see [`patience`].
    pub async fn done(self) -> Vec<Purchase> {
        let mut purchases = Vec::new();
        for caller in self.callers {
            purchases.extend(caller.await.expect("every call is answered in the end"));
        }
        purchases
    }
}

impl Caller {
    async fn buy(&mut self) -> Purchase {
        let request = self.request();
        let ending = self.ending();
        let placer = self.shop();
        let enders = (self.shop(), self.shop());
        let placing = patience::place(&placer, &request);
        let (placed, (cancelled, fulfilled)) = match ending.pause {
            Some(pause) => {
                let placed = placing.await;
                tokio::time::sleep(pause).await;
                let ended = end(&enders, &placed.order_id, &ending).await;
                (placed, ended)
            }
            None => tokio::join!(placing, async {
                let order_id = see(&enders.0, &request.request_id).await;
                end(&enders, &order_id, &ending).await
            }),
        };
        Purchase { request, placed, cancelled, fulfilled }
    }

    fn request(&mut self) -> PlaceOrderRequest {
        let count = self.chance.random_range(1..=MOST_LINES);
        let skus: Vec<&String> = self.skus.sample(&mut self.chance, count).collect();
        let chance = &mut self.chance;
        let lines: Vec<(&str, u32)> =
            skus.into_iter().map(|sku| (sku.as_str(), chance.random_range(1..=MOST_UNITS))).collect();
        let mut request = self.shops[0].request(&lines);
        request.request_id = Uuid::new_v4().to_string();
        request
    }

    fn ending(&mut self) -> Ending {
        let chance = &mut self.chance;
        let (cancel, fulfil) = (chance.random_bool(0.4), chance.random_bool(0.4));
        let pause = match chance.random_range(0..4) {
            0 => None,
            1 => Some(Duration::ZERO),
            _ => Some(chance.random_range(Duration::ZERO..LONGEST_PAUSE)),
        };
        Ending { cancel, fulfil, pause }
    }

    fn shop(&mut self) -> Shop {
        self.shops.choose(&mut self.chance).expect("there is at least one replica").clone()
    }
}

/// Waits for the order of a request that is still on its way, and returns its id.
async fn see(shop: &Shop, request_id: &str) -> String {
    let newest = ListOrdersRequest { customer_id: shop.customer.clone(), page_size: 1, ..ListOrdersRequest::default() };
    let call = |mut client: OrderServiceClient<_>, request| async move { client.list_orders(request).await };
    let begun = Instant::now();
    loop {
        let listed = answered(&shop.orders, &newest, call).await;
        let listed = listed.answer.expect("orders can be listed").into_inner().orders;
        if let Some(order) = listed.into_iter().find(|order| order.request_id == request_id) {
            return order.order_id;
        }
        assert!(begun.elapsed() < PATIENCE, "the order of {request_id} can't be seen");
    }
}

/// Cancels and fulfils, both at the same time, as far as that is wanted.
async fn end((canceller, fulfiller): &(Shop, Shop), order_id: &str, ending: &Ending) -> (Told, Told) {
    let (cancelling, fulfilling) = (patience::cancel(canceller, order_id), patience::fulfil(fulfiller, order_id));
    match (ending.cancel, ending.fulfil) {
        (false, false) => (None, None),
        (true, false) => (Some(cancelling.await), None),
        (false, true) => (None, Some(fulfilling.await)),
        (true, true) => {
            let (cancelled, fulfilled) = tokio::join!(cancelling, fulfilling);
            (Some(cancelled), Some(fulfilled))
        }
    }
}

/// Compares what callers were told with what the orders have become, once the platform is at rest: every order is there,
/// once and under its own id; nothing that was acknowledged was undone; every refusal gave the true reason; and no order
/// is there that nobody asked for.
///
/// # Panics
/// When somebody was told something else.
pub async fn assert_told_the_truth(purchases: &[Purchase], orders: &PgPool) -> Fates {
    let customers: BTreeSet<&str> = purchases.iter().map(|purchase| &*purchase.request.customer_id).collect();
    let rows: Vec<(String, String, i16, i16)> =
        sqlx::query_as("select request_id, order_id::text, status, version from orders where customer_id = any($1)")
            .bind(customers.into_iter().map(str::to_owned).collect::<Vec<_>>())
            .fetch_all(orders)
            .await
            .expect("the database answers");
    assert_eq!(rows.len(), purchases.len(), "each request made one order");
    let rows: BTreeMap<&str, _> = rows
        .iter()
        .map(|(request_id, id, status, version)| (request_id.as_str(), (id.as_str(), i32::from(*status), *version)))
        .collect();
    let mut fates = Fates::default();
    for purchase in purchases {
        let (order_id, status, version) = rows[&*purchase.request.request_id];
        assert_eq!(purchase.placed.order_id, order_id, "{purchase:#?}");
        let status = OrderStatus::try_from(status).expect("numbers are the contract's");
        assert!(purchase.is_true_of(status), "{order_id} is {status:?}, and its callers were told: {purchase:#?}");
        match status {
            OrderStatus::Confirmed => fates.confirmed += 1,
            OrderStatus::Rejected => fates.rejected += 1,
            OrderStatus::Cancelled => fates.cancelled += 1,
            OrderStatus::Fulfilled => fates.fulfilled += 1,
            OrderStatus::Pending | OrderStatus::Unspecified => panic!("{order_id} is not decided"),
        }
        fates.cancelled_while_pending += usize::from(status == OrderStatus::Cancelled && version == 2);
        fates.contested += usize::from(purchase.cancelled.is_some() && purchase.fulfilled.is_some());
    }
    fates
}

impl Purchase {
    /// Whether everything that was told fits an order that has become `fate`.
    fn is_true_of(&self, fate: OrderStatus) -> bool {
        use OrderStatus::{Cancelled, Confirmed, Fulfilled, Pending, Rejected};
        let placed = match self.placed.status() {
            Pending => true,
            Confirmed => matches!(fate, Confirmed | Cancelled | Fulfilled),
            told => told == fate,
        };
        let cancelled = match &self.cancelled {
            None => true,
            Some(Ok(order)) => order.status() == Cancelled && fate == Cancelled,
            Some(Err(refusal)) => matches!(fate, Rejected | Fulfilled) && forbids(refusal, &[fate]),
        };
        let fulfilled = match &self.fulfilled {
            None => true,
            Some(Ok(order)) => order.status() == Fulfilled && fate == Fulfilled,
            // PENDING at that moment; later it may become anything else.
            Some(Err(refusal)) => match fate {
                Confirmed => forbids(refusal, &[Pending]),
                Rejected | Cancelled => forbids(refusal, &[Pending, fate]),
                OrderStatus::Unspecified | Pending | Fulfilled => false,
            },
        };
        let was_ended = [&self.cancelled, &self.fulfilled].iter().any(|told| matches!(told, Some(Ok(_))));
        placed && cancelled && fulfilled && (was_ended || matches!(fate, Confirmed | Rejected))
    }
}

/// Whether a refusal says that the order is in one of these states.
fn forbids(refusal: &Refusal, states: &[OrderStatus]) -> bool {
    let told = refusal.metadata.get("status").map(String::as_str).unwrap_or_default();
    (refusal.code, &*refusal.reason) == (Code::FailedPrecondition, reasons::ORDER_STATE)
        && states.iter().any(|state| state.as_str_name().strip_prefix("ORDER_STATUS_") == Some(told))
}
