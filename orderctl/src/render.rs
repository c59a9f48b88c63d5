//! Orders and stock as people read them.

use proto::inventory::v1::StockItem;
use proto::orders::v1::{Order, OrderStatus};

use crate::money;
use crate::output::table;

/// The whole order, a line per fact, without a line end.
pub(crate) fn order(order: &Order) -> String {
    let mut lines = vec![format!("order {}  {}", order.order_id, status_with_reason(order))];
    let mut fact = |name: &str, value: &str| {
        if !value.is_empty() {
            lines.push(format!("  {name:<10} {value}"));
        }
    };
    fact("customer", &order.customer_id);
    for (index, line) in order.lines.iter().enumerate() {
        let price = line.unit_price.as_ref().map(|price| format!("  at {}", money::display(price))).unwrap_or_default();
        fact(if index == 0 { "lines" } else { "" }, &format!("{} × {}{price}", line.quantity, line.sku));
    }
    fact("total", &order.total.as_ref().map(money::display).unwrap_or_default());
    for shortage in &order.shortages {
        let text = format!("{}: {} asked for, {} available", shortage.sku, shortage.requested, shortage.available);
        fact("short of", &text);
    }
    fact("note", &order.status_note);
    fact("version", &order.version.to_string());
    fact("placed", &time(order.create_time));
    fact("changed", &time(order.update_time));
    fact("request", &order.request_id);
    lines.join("\n")
}

/// One line for one version of an order, as `order watch` prints them.
pub(crate) fn version(order: &Order) -> String {
    let total = order.total.as_ref().map(money::display).unwrap_or_default();
    let line =
        format!("{}  version {}  {:<9}  {total}", time(order.update_time), order.version, status_with_reason(order));
    line.trim_end().to_owned()
}

/// A table of orders.
pub(crate) fn orders(orders: &[Order]) -> String {
    let header = ["ORDER", "CUSTOMER", "STATUS", "LINES", "TOTAL", "PLACED"].map(str::to_owned).to_vec();
    let rows = orders.iter().map(|order| {
        vec![
            order.order_id.clone(),
            order.customer_id.clone(),
            status_with_reason(order),
            order.lines.len().to_string(),
            order.total.as_ref().map(money::display).unwrap_or_default(),
            time(order.create_time),
        ]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[3, 4])
}

/// A table of stock items.
pub(crate) fn stock(items: &[StockItem]) -> String {
    let header = ["SKU", "UNIT PRICE", "ON HAND", "RESERVED", "AVAILABLE", "NAME"].map(str::to_owned).to_vec();
    let rows = items.iter().map(|item| {
        vec![
            item.sku.clone(),
            item.unit_price.as_ref().map(money::display).unwrap_or_default(),
            item.on_hand.to_string(),
            item.reserved.to_string(),
            item.available.to_string(),
            item.name.clone(),
        ]
    });
    table(&std::iter::once(header).chain(rows).collect::<Vec<_>>(), &[1, 2, 3, 4])
}

/// `CONFIRMED`, `REJECTED (OUT_OF_STOCK)`.
fn status_with_reason(order: &Order) -> String {
    let status = status(order.status());
    if order.status_reason.is_empty() { status.to_owned() } else { format!("{status} ({})", order.status_reason) }
}

/// The status without the enum's prefix.
pub(crate) fn status(status: OrderStatus) -> &'static str {
    status.as_str_name().trim_start_matches("ORDER_STATUS_")
}

/// RFC 3339 in UTC with milliseconds; empty when unset.
fn time(timestamp: Option<prost_types::Timestamp>) -> String {
    const MILLISECOND: i32 = 1_000_000;
    timestamp
        .map(|mut timestamp| {
            timestamp.nanos -= timestamp.nanos % MILLISECOND;
            timestamp.to_string()
        })
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use proto::google::r#type::Money;
    use proto::orders::v1::{OrderLine, Shortage};

    use super::*;

    #[test]
    fn confirmed_order_shows_prices_and_total() {
        let price = |units| Some(Money { currency_code: "EUR".to_owned(), units, nanos: 0 });
        let confirmed = Order {
            order_id: "o-1".to_owned(),
            customer_id: "demo".to_owned(),
            lines: vec![OrderLine { sku: "A".to_owned(), quantity: 2, unit_price: price(5) }],
            status: OrderStatus::Confirmed.into(),
            total: price(10),
            version: 2,
            ..Order::default()
        };
        let text = order(&confirmed);
        assert_eq!(
            text,
            "order o-1  CONFIRMED\n  customer   demo\n  lines      2 × A  at 5.00 EUR\n  total      10.00 EUR\n  \
             version    2"
        );
    }

    #[test]
    fn rejected_order_shows_what_was_missing() {
        let rejected = Order {
            status: OrderStatus::Rejected.into(),
            status_reason: "OUT_OF_STOCK".to_owned(),
            shortages: vec![Shortage { sku: "A".to_owned(), requested: 9, available: 1 }],
            ..Order::default()
        };
        let text = order(&rejected);
        assert!(text.contains("REJECTED (OUT_OF_STOCK)"), "{text}");
        assert!(text.contains("short of   A: 9 asked for, 1 available"), "{text}");
    }
}
