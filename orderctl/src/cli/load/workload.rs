//! Which calls are made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use futures::{StreamExt as _, TryStreamExt as _};
use proto::inventory::v1::ListStockRequest;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::place_orders_response::Outcome;
use proto::orders::v1::{
    FulfillOrderRequest, GetOrderRequest, NewOrderLine, Order, OrderStatus, PlaceOrderRequest, WatchOrderRequest,
};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use super::connections::{Connections, Orders};
use super::shop::Shop;
use super::stream::OrderStream;
use crate::client::{self, Address};
use crate::failure::CallFailed;

/// Orders that are placed before a load of reads, and how many of them at once.
const ORDERS_TO_READ: usize = 1_000;
const AT_ONCE: usize = 50;
/// Versions of a fulfilled order that a watch after the first one gives.
const WATCHED_VERSIONS: usize = 2;

/// What is ordered. Cheap to clone: a thousand callers with a list of ten thousand SKUs each would begin a second late.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    skus: Arc<[String]>,
    most_lines: usize,
    seed: u64,
    timeout: Duration,
}

/// How a caller reaches the service, and for what.
#[derive(Debug, Clone)]
pub(super) enum Means {
    Place(Connections),
    Shop(Shop),
    PlaceOrders(OrderStream),
    Get(Connections, Arc<[String]>),
    Watch(OrderServiceClient<Channel>, Arc<[String]>),
}

/// One caller, with random numbers of its own.
#[derive(Debug)]
pub(super) struct Caller {
    workload: Workload,
    means: Means,
    random: SmallRng,
    /// In a shop, the order that was placed last, until it is followed up.
    placed: Option<Order>,
}

/// The SKUs of the inventory that have stock, or `all`.
pub(super) async fn skus(inventory: &Address, all: bool) -> anyhow::Result<Vec<String>> {
    let mut client = InventoryServiceClient::new(client::connect(inventory).await?);
    let (mut skus, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = client.list_stock(ListStockRequest { page_size: 500, page_token }).await;
        let page = page.map_err(|status| CallFailed::new("ListStock", inventory, status))?.into_inner();
        skus.extend(page.items.into_iter().filter(|item| all || item.available > 0).map(|item| item.sku));
        page_token = page.next_page_token;
        if page_token.is_empty() {
            break;
        }
    }
    if skus.is_empty() {
        bail!(
            "the inventory has no SKU with stock: import some with `orderctl stock import FILE`, or name one with --sku"
        );
    }
    Ok(skus)
}

impl Means {
    pub(super) async fn place_orders(channel: Channel, address: &Address) -> Result<Self, CallFailed> {
        Ok(Self::PlaceOrders(OrderStream::open(channel, address).await?))
    }

    pub(super) fn watch(channel: Channel, orders: &Arc<[String]>) -> Self {
        Self::Watch(OrderServiceClient::new(channel), Arc::clone(orders))
    }
}

impl Workload {
    pub(super) fn new(skus: Vec<String>, most_lines: u32, seed: u64, timeout: Duration) -> Self {
        let most_lines = usize::try_from(most_lines).unwrap_or(usize::MAX).min(skus.len());
        Self { skus: skus.into(), most_lines, seed, timeout }
    }

    /// Places orders for a load of reads, and returns their ids.
    pub(super) async fn place_some(&self, channel: &Channel) -> anyhow::Result<Arc<[String]>> {
        let client = OrderServiceClient::new(channel.clone());
        let mut random = self.random(0);
        let requests: Vec<_> = (0..ORDERS_TO_READ).map(|_| self.order(&mut random)).collect();
        let placing = futures::stream::iter(requests).map(|request| {
            let (mut client, request) = (client.clone(), client::request(request, self.timeout));
            async move {
                let placed = client.place_order(request).await.map_err(|status| anyhow::anyhow!("{status}"));
                let order = placed.context("no orders to read can be placed")?.into_inner().order;
                Ok::<_, anyhow::Error>(order.context("the answer has no order")?.order_id)
            }
        });
        Ok(placing.buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into())
    }

    /// Makes CONFIRMED orders final.
    pub(super) async fn fulfil(&self, channel: &Channel, orders: &[String]) -> anyhow::Result<()> {
        let client = OrderServiceClient::new(channel.clone());
        let fulfilling = futures::stream::iter(orders.to_vec()).map(|order_id| {
            let (mut client, request) =
                (client.clone(), client::request(FulfillOrderRequest { order_id }, self.timeout));
            async move { client.fulfill_order(request).await.map(drop) }
        });
        let fulfilled = fulfilling.buffered(AT_ONCE).try_collect::<()>().await;
        fulfilled.map_err(|status| anyhow::anyhow!("{status}")).context("the orders to watch can't be fulfilled")
    }

    /// A caller, who shares its means with others.
    pub(super) fn caller(&self, number: u64, means: Means) -> Caller {
        Caller { workload: self.clone(), means, random: self.random(number), placed: None }
    }

    /// Different callers, different orders; the same seed, the same of both.
    fn random(&self, caller: u64) -> SmallRng {
        SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(caller))
    }

    fn order(&self, random: &mut SmallRng) -> PlaceOrderRequest {
        let count = random.random_range(1..=self.most_lines);
        let skus: Vec<String> = self.skus.sample(random, count).cloned().collect();
        let lines = skus.into_iter().map(|sku| NewOrderLine { sku, quantity: 1 }).collect();
        PlaceOrderRequest { request_id: Uuid::new_v4().to_string(), customer_id: "load".to_owned(), lines }
    }
}

impl Caller {
    /// Makes one call and says what was answered, in a few words from a small set.
    pub(super) async fn call(&mut self) -> Result<&'static str, String> {
        let Self { workload, means, random, placed } = self;
        let timeout = workload.timeout;
        match means {
            Means::Place(orders) => {
                let order = place(orders, workload.order(random), timeout).await.map_err(|status| in_words(&status))?;
                Ok(in_a_word(order.status()))
            }
            Means::Shop(shop) => {
                let order = place(&mut shop.orders, workload.order(random), timeout).await;
                let order = order.map_err(|status| in_words(&status))?;
                let status = order.status();
                *placed = Some(order);
                Ok(in_a_word(status))
            }
            Means::PlaceOrders(stream) => {
                let placed = tokio::time::timeout(timeout, stream.place(workload.order(random))).await;
                let answer = placed.map_err(|_| "DeadlineExceeded".to_owned())?;
                match answer.map_err(|_| "the stream ended".to_owned())?.outcome {
                    Some(Outcome::Order(order)) => Ok(in_a_word(order.status())),
                    Some(Outcome::Error(error)) => Err(format!("{:?}", Code::from(error.code))),
                    None => Err("an answer without outcome".to_owned()),
                }
            }
            Means::Get(orders, ids) => {
                let get = |mut orders: Orders, request| async move { orders.get_order(request).await };
                let message = GetOrderRequest { order_id: any(ids, random) };
                let got = orders.send(message, |message| client::request(message, timeout), get).await;
                got.map(|_| "OK").map_err(|status| in_words(&status))
            }
            Means::Watch(orders, ids) => {
                let request = WatchOrderRequest { order_id: any(ids, random), after_version: 1 };
                tokio::time::timeout(timeout, watch(orders, client::traced(request)))
                    .await
                    .map_err(|_| "DeadlineExceeded".to_owned())?
            }
        }
    }

    /// Does what becomes of the order that was placed last.
    pub(super) async fn follow_up(&mut self) -> Result<(), String> {
        let (Means::Shop(shop), Some(order)) = (&mut self.means, self.placed.take()) else { return Ok(()) };
        let done = shop.follow_up(order, &mut self.random, self.workload.timeout).await;
        done.map_err(|(call, status)| format!("{call}: {}", in_words(&status)))
    }
}

/// The same call again is the same order: it has a request id.
async fn place(orders: &mut Connections, order: PlaceOrderRequest, timeout: Duration) -> Result<Order, Status> {
    let place = |mut orders: Orders, request| async move { orders.place_order(request).await };
    let placed = orders.send(order, |order| client::request(order, timeout), place).await?;
    Ok(placed.order.unwrap_or_default())
}

/// Reads a watch to its end.
async fn watch(
    orders: &mut OrderServiceClient<Channel>,
    request: Request<WatchOrderRequest>,
) -> Result<&'static str, String> {
    let mut versions = orders.watch_order(request).await.map_err(|status| in_words(&status))?.into_inner();
    let mut count = 0;
    while versions.message().await.map_err(|status| in_words(&status))?.is_some() {
        count += 1;
    }
    if count == WATCHED_VERSIONS { Ok("OK") } else { Err(format!("{count} versions")) }
}

fn any(ids: &[String], random: &mut SmallRng) -> String {
    ids.choose(random).cloned().unwrap_or_default()
}

fn in_a_word(status: OrderStatus) -> &'static str {
    status.as_str_name().trim_start_matches("ORDER_STATUS_")
}

/// `CODE` or `CODE (REASON)`.
fn in_words(status: &Status) -> String {
    let code = if client::is_timed_out(status) { Code::DeadlineExceeded } else { status.code() };
    match status.get_error_details().error_info() {
        Some(info) => format!("{code:?} ({})", info.reason),
        None => format!("{code:?}"),
    }
}

/// Whether an outcome of a placement is an order that has its stock.
pub(super) fn is_confirmed(outcome: &str) -> bool {
    outcome == in_a_word(OrderStatus::Confirmed)
}
