//! The contract's messages as JSON, in the [proto3 mapping](https://protobuf.dev/programming-guides/json/): names in
//! lowerCamelCase, 64-bit numbers as text, enums by name, times as RFC 3339. Empty fields are written, unset messages
//! are not.

mod events;

use proto::google::r#type::Money;
use proto::inventory::v1 as inventory;
use proto::orders::v1 as orders;
use serde::Serialize;

pub(crate) use events::{EventJson, event};

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct MoneyJson {
    currency_code: String,
    units: String,
    nanos: i32,
}

/// `orders.v1.Order`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderJson {
    order_id: String,
    customer_id: String,
    lines: Vec<LineJson>,
    status: &'static str,
    status_reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<MoneyJson>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    create_time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<String>,
    request_id: String,
    status_note: String,
    shortages: Vec<ShortageJson>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct LineJson {
    sku: String,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<MoneyJson>,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ShortageJson {
    sku: String,
    requested: u32,
    available: String,
}

/// `orders.v1.ListOrdersResponse`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrdersJson {
    pub(crate) orders: Vec<OrderJson>,
    pub(crate) next_page_token: String,
}

/// `inventory.v1.StockItem`.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct StockItemJson {
    sku: String,
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    unit_price: Option<MoneyJson>,
    on_hand: String,
    reserved: String,
    available: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    update_time: Option<String>,
}

/// `inventory.v1.ListStockResponse`, of all pages.
#[derive(Serialize)]
pub(crate) struct StockJson {
    pub(crate) items: Vec<StockItemJson>,
}

impl From<Money> for MoneyJson {
    fn from(money: Money) -> Self {
        Self { currency_code: money.currency_code, units: money.units.to_string(), nanos: money.nanos }
    }
}

impl From<orders::Order> for OrderJson {
    fn from(order: orders::Order) -> Self {
        Self {
            status: order.status().as_str_name(),
            order_id: order.order_id,
            customer_id: order.customer_id,
            lines: order.lines.into_iter().map(LineJson::from).collect(),
            status_reason: order.status_reason,
            total: order.total.map(MoneyJson::from),
            version: order.version.to_string(),
            create_time: order.create_time.map(|time| time.to_string()),
            update_time: order.update_time.map(|time| time.to_string()),
            request_id: order.request_id,
            status_note: order.status_note,
            shortages: order.shortages.into_iter().map(ShortageJson::from).collect(),
        }
    }
}

impl From<orders::OrderLine> for LineJson {
    fn from(line: orders::OrderLine) -> Self {
        Self { sku: line.sku, quantity: line.quantity, unit_price: line.unit_price.map(MoneyJson::from) }
    }
}

impl From<orders::Shortage> for ShortageJson {
    fn from(shortage: orders::Shortage) -> Self {
        Self { sku: shortage.sku, requested: shortage.requested, available: shortage.available.to_string() }
    }
}

impl From<inventory::StockItem> for StockItemJson {
    fn from(item: inventory::StockItem) -> Self {
        Self {
            sku: item.sku,
            name: item.name,
            unit_price: item.unit_price.map(MoneyJson::from),
            on_hand: item.on_hand.to_string(),
            reserved: item.reserved.to_string(),
            available: item.available.to_string(),
            update_time: item.update_time.map(|time| time.to_string()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn order_follows_the_proto_json_mapping() {
        let order = orders::Order {
            order_id: "o-1".to_owned(),
            lines: vec![orders::OrderLine { sku: "A".to_owned(), quantity: 2, unit_price: None }],
            status: orders::OrderStatus::Confirmed.into(),
            total: Some(Money { currency_code: "EUR".to_owned(), units: 5, nanos: 500_000_000 }),
            version: 2,
            create_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
            ..orders::Order::default()
        };
        let json = serde_json::to_value(OrderJson::from(order)).expect("it can be serialized");
        assert_eq!(json["orderId"], "o-1");
        assert_eq!(json["status"], "ORDER_STATUS_CONFIRMED");
        assert_eq!(json["version"], "2");
        assert_eq!(json["lines"][0]["quantity"], 2);
        assert_eq!(json["total"]["units"], "5");
        assert_eq!(json["createTime"], "2023-11-14T22:13:20Z");
        assert!(json.get("updateTime").is_none());
    }
}
