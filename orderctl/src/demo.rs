//! The first order on a fresh platform: stock, an order, its trace. Everything goes through the public gRPC methods and
//! Jaeger's API; nothing here knows how the services work.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{ImportStockResponse, ListStockRequest, StockItem};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, NewOrderLine, Order, OrderStatus, PlaceOrderRequest};
use uuid::Uuid;

use crate::catalogue::DEMO_CATALOGUE;
use crate::client::{self, Address};
use crate::failure::CallFailed;
use crate::story::missing_parts;
use crate::waterfall::Trace;
use crate::{cli, jaeger};

const CALL_LIMIT: Duration = Duration::from_secs(10);
const IMPORT_LIMIT: Duration = Duration::from_secs(60);
/// An order whose stock is there is decided in one call; the rest of the time is for a platform that still warms up.
const DECISION_LIMIT: Duration = Duration::from_secs(30);
/// Spans arrive after the batch delay of both services and, for consumers, after a round over Kafka.
const TRACE_LIMIT: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(100);
const CUSTOMER: &str = "demo";
const CURRENCY: &str = "EUR";

/// Imports the catalogue; a platform that has it already is left as it is.
///
/// # Errors
/// The call failed, or the inventory refused rows.
pub(crate) async fn import_catalogue(inventory: &Address) -> anyhow::Result<ImportStockResponse> {
    let id = cli::import_id(DEMO_CATALOGUE.as_bytes()).context("the catalogue can't be read")?;
    let channel = client::connect(inventory).await?;
    let report = cli::send_import(channel, inventory, id, DEMO_CATALOGUE.as_bytes(), IMPORT_LIMIT)
        .await
        .context("data/catalogue.csv")?;
    if let Some(bad) = report.bad_lines().first() {
        bail!("data/catalogue.csv: {} bad rows, the first in line {}: {}", report.bad_count(), bad.line, bad.reason);
    }
    Ok(report.response)
}

/// Places an order of what there is most of, and waits until it is no longer PENDING.
///
/// # Errors
/// A call failed, nothing is in stock, or the order was not confirmed.
pub(crate) async fn place_order(orders: &Address, inventory: &Address) -> anyhow::Result<Order> {
    let lines = choose_lines(stock(inventory).await?)?;
    let mut client = OrderServiceClient::new(client::connect(orders).await?);
    let request_id = Uuid::new_v4().to_string();
    let message = PlaceOrderRequest { request_id, customer_id: CUSTOMER.to_owned(), lines };
    let placed = client.place_order(client::request(message, CALL_LIMIT)).await;
    let placed = placed.map_err(|status| CallFailed::new("PlaceOrder", orders, status))?.into_inner();
    let mut order = placed.order.context("PlaceOrder answered without an order")?;
    let begun = Instant::now();
    while order.status() == OrderStatus::Pending && begun.elapsed() < DECISION_LIMIT {
        tokio::time::sleep(POLL).await;
        let message = GetOrderRequest { order_id: order.order_id.clone() };
        let read = client.get_order(client::request(message, CALL_LIMIT)).await;
        let read = read.map_err(|status| CallFailed::new("GetOrder", orders, status))?.into_inner();
        order = read.order.context("GetOrder answered without an order")?;
    }
    Ok(order)
}

async fn stock(inventory: &Address) -> anyhow::Result<Vec<StockItem>> {
    let mut client = InventoryServiceClient::new(client::connect(inventory).await?);
    let message = ListStockRequest { page_size: 500, page_token: String::new() };
    let page = client.list_stock(client::request(message, CALL_LIMIT)).await;
    Ok(page.map_err(|status| CallFailed::new("ListStock", inventory, status))?.into_inner().items)
}

/// Two items in one currency that are in no danger of running out, however often `up` is called.
fn choose_lines(mut stock: Vec<StockItem>) -> anyhow::Result<Vec<NewOrderLine>> {
    stock.retain(|item| {
        item.available > 2 && item.unit_price.as_ref().is_some_and(|price| price.currency_code == CURRENCY)
    });
    stock.sort_by(|one, other| other.available.cmp(&one.available).then_with(|| one.sku.cmp(&other.sku)));
    if stock.is_empty() {
        bail!(
            "nothing is in stock any more\n  next: orderctl stock import FILE, or start afresh with --data OTHER_FOLDER"
        );
    }
    Ok(stock.into_iter().zip([2, 1]).map(|(item, quantity)| NewOrderLine { sku: item.sku, quantity }).collect())
}

/// An order's trace, as complete as it became.
pub(crate) struct Story {
    pub(crate) trace: Option<Trace>,
    /// What a whole trace has and this one does not.
    pub(crate) missing: Vec<&'static str>,
}

/// Waits until the order's trace has every part of the story.
///
/// # Errors
/// The trace store does not answer, or not as Jaeger does.
pub(crate) async fn trace(jaeger: &str, order_id: &str) -> anyhow::Result<Story> {
    let begun = Instant::now();
    loop {
        let traces = jaeger::traces(jaeger::fetch(jaeger, order_id).await?)?;
        let trace = traces.into_iter().next();
        let missing = trace.as_ref().map_or_else(|| vec!["any span at all"], missing_parts);
        if missing.is_empty() || begun.elapsed() > TRACE_LIMIT {
            return Ok(Story { trace, missing });
        }
        tokio::time::sleep(POLL).await;
    }
}

#[cfg(test)]
mod tests {
    use proto::google::r#type::Money;

    use super::*;

    fn item(sku: &str, available: i64, currency: &str) -> StockItem {
        let unit_price = Some(Money { currency_code: currency.to_owned(), units: 1, nanos: 0 });
        StockItem { sku: sku.to_owned(), available, unit_price, ..StockItem::default() }
    }

    #[test]
    fn the_most_plentiful_items_of_one_currency_are_ordered() {
        let stock =
            vec![item("FEW", 3, "EUR"), item("DOLLARS", 900, "USD"), item("MANY", 500, "EUR"), item("ONE", 1, "EUR")];
        let lines = choose_lines(stock).expect("something is in stock");
        let chosen: Vec<(&str, u32)> = lines.iter().map(|line| (line.sku.as_str(), line.quantity)).collect();
        assert_eq!(chosen, [("MANY", 2), ("FEW", 1)]);
        assert!(choose_lines(vec![item("ONE", 1, "EUR")]).is_err());
    }
}
