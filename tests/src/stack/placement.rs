//! One order and its trace.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proto::orders::v1::OrderStatus;

use crate::shop::Shop;
use crate::traces::{self, Trace};
use crate::waiting::within;

const PLACE: &str = "orders.v1.OrderService/PlaceOrder";
const RESERVE: &str = "inventory.v1.InventoryService/Reserve";

/// What the trace of a confirmed order consists of: service, span, how often.
const SPANS: [(&str, &str, usize); 9] = [
    ("order-svc", PLACE, 1),
    ("order-svc", RESERVE, 1),
    ("inventory-svc", RESERVE, 1),
    ("order-svc", "write_orders", 2),
    ("inventory-svc", "write_stock", 1),
    ("order-svc", "send orders.v1", 2),
    ("inventory-svc", "process orders.v1", 2),
    ("inventory-svc", "send inventory.v1", 1),
    ("order-svc", "process inventory.v1", 1),
];

/// Places an order and waits until Jaeger at `jaeger` has the whole of its trace. Its id, and the trace.
///
/// # Errors
/// The order is not confirmed, or its trace is not whole within `limit`.
///
/// # Panics
/// When a service does not answer.
pub async fn traced(mut shop: Shop, jaeger: &str, limit: Duration) -> Result<(String, Trace)> {
    let sku = shop.stocked("lamp", 10, (12, 0)).await;
    let order = shop.place(&[(&sku, 1)]).await;
    ensure!(order.status() == OrderStatus::Confirmed, "order {} is {:?}", order.order_id, order.status());
    let trace = within(limit, async || whole(jaeger, &order.order_id).await).await?;
    Ok((order.order_id, trace))
}

async fn whole(jaeger: &str, order_id: &str) -> Result<Trace> {
    let mut found = traces::find(jaeger, "order-svc", "shop.order.id", order_id).await?;
    let trace = found.pop().with_context(|| format!("Jaeger has no trace of order {order_id}"))?;
    for (service, name, count) in SPANS {
        let spans = trace.spans.iter().filter(|span| span.service == service && span.name == name).count();
        ensure!(spans == count, "{spans} instead of {count} {service} {name} in {}", trace.outline());
    }
    ensure!(trace.orphans().is_empty() && trace.roots().len() == 1, "not one tree: {}", trace.outline());
    Ok(trace)
}
