//! The platform's own attributes, under `shop.`.

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

const ORDER_ID: &str = "shop.order.id";
const ORDER_STATUS: &str = "shop.order.status";

/// Says on the span of `context` which order it is about.
pub fn set_order(context: &Context, order_id: &str) {
    set(context, ORDER_ID, || order_id.to_owned());
}

/// Says on the span of `context` which status the order has now: `confirmed`, written as the API names it (`CONFIRMED`).
pub fn set_status(context: &Context, status: &str) {
    set(context, ORDER_STATUS, || status.to_ascii_uppercase());
}

fn set(context: &Context, key: &'static str, value: impl FnOnce() -> String) {
    let span = context.span();
    if span.is_recording() {
        span.set_attribute(KeyValue::new(key, value()));
    }
}
