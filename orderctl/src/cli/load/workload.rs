//! Which calls are made.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use proto::inventory::v1::ListStockRequest;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, NewOrderLine, OrderStatus, PlaceOrderRequest};
use rand::rngs::SmallRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tonic::transport::Channel;
use tonic::{Request, Status};
use tonic_types::StatusExt as _;
use uuid::Uuid;

use crate::client::{self, Address};
use crate::failure::CallFailed;

/// Orders that are placed before a load of reads.
const ORDERS_TO_READ: usize = 1_000;

/// What the callers do, each with random numbers of its own. Cheap to clone: a thousand callers with a list of ten thousand
/// SKUs each would begin a second late.
#[derive(Debug, Clone)]
pub(super) struct Workload {
    skus: Arc<[String]>,
    most_lines: usize,
    seed: u64,
    /// Orders to read; empty when orders are placed.
    order_ids: Arc<[String]>,
}

/// One caller's share of a workload.
#[derive(Debug)]
pub(super) struct Caller {
    workload: Workload,
    random: SmallRng,
    orders: OrderServiceClient<Channel>,
    timeout: Duration,
}

/// Every SKU of the inventory.
pub(super) async fn all_skus(inventory: &Address) -> anyhow::Result<Vec<String>> {
    let mut client = InventoryServiceClient::new(client::connect(inventory).await?);
    let (mut skus, mut page_token) = (Vec::new(), String::new());
    loop {
        let page = client.list_stock(ListStockRequest { page_size: 500, page_token }).await;
        let page = page.map_err(|status| CallFailed::new("ListStock", inventory, status))?.into_inner();
        skus.extend(page.items.into_iter().filter(|item| item.available > 0).map(|item| item.sku));
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

impl Workload {
    pub(super) fn placing(skus: Vec<String>, most_lines: u32, seed: u64) -> Self {
        let most_lines = usize::try_from(most_lines).unwrap_or(usize::MAX).min(skus.len());
        Self { skus: skus.into(), most_lines, seed, order_ids: Arc::default() }
    }

    /// Places orders and makes a workload of reading them.
    pub(super) async fn into_reading(mut self, channel: &Channel, timeout: Duration) -> anyhow::Result<Self> {
        let mut caller = self.clone().caller(0, channel.clone(), timeout);
        let mut order_ids = Vec::with_capacity(ORDERS_TO_READ);
        while order_ids.len() < ORDERS_TO_READ {
            let request = caller.place_order();
            let placed = caller.orders.place_order(request).await.map_err(|status| anyhow::anyhow!("{status}"));
            let order = placed.context("no orders to read can be placed")?.into_inner().order;
            order_ids.push(order.context("the answer has no order")?.order_id);
        }
        self.order_ids = order_ids.into();
        Ok(self)
    }

    pub(super) fn caller(self, number: u64, channel: Channel, timeout: Duration) -> Caller {
        // Different callers, different orders; the same seed, the same of both.
        let random = SmallRng::seed_from_u64(self.seed.wrapping_mul(1_000_003).wrapping_add(number));
        Caller { workload: self, random, orders: OrderServiceClient::new(channel), timeout }
    }
}

impl Caller {
    /// Makes one call and says what was answered, in a few words from a small set.
    pub(super) async fn call(&mut self) -> Result<&'static str, String> {
        if self.workload.order_ids.is_empty() {
            let request = self.place_order();
            let answered = self.orders.place_order(request).await.map_err(|status| in_words(&status))?;
            let order = answered.into_inner().order.unwrap_or_default();
            Ok(order.status().as_str_name().trim_start_matches("ORDER_STATUS_"))
        } else {
            let order_id = self.workload.order_ids.choose(&mut self.random).cloned().unwrap_or_default();
            let request = client::request(GetOrderRequest { order_id }, self.timeout);
            self.orders.get_order(request).await.map_err(|status| in_words(&status))?;
            Ok("OK")
        }
    }

    fn place_order(&mut self) -> Request<PlaceOrderRequest> {
        let count = self.random.random_range(1..=self.workload.most_lines);
        let skus: Vec<String> = self.workload.skus.sample(&mut self.random, count).cloned().collect();
        let lines = skus.into_iter().map(|sku| NewOrderLine { sku, quantity: 1 }).collect();
        let message =
            PlaceOrderRequest { request_id: Uuid::new_v4().to_string(), customer_id: "load".to_owned(), lines };
        client::request(message, self.timeout)
    }
}

/// `CODE` or `CODE (REASON)`.
fn in_words(status: &Status) -> String {
    let code = if client::is_timed_out(status) { tonic::Code::DeadlineExceeded } else { status.code() };
    match status.get_error_details().error_info() {
        Some(info) => format!("{code:?} ({})", info.reason),
        None => format!("{code:?}"),
    }
}

/// Whether an outcome of a placement is an order that has its stock.
pub(super) fn is_confirmed(outcome: &str) -> bool {
    outcome == OrderStatus::Confirmed.as_str_name().trim_start_matches("ORDER_STATUS_")
}
