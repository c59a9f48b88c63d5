//! The platform's own attributes, under `shop.`.

use opentelemetry::trace::TraceContextExt as _;
use opentelemetry::{Context, KeyValue};

const ORDER_ID: &str = "shop.order.id";
const ORDER_STATUS: &str = "shop.order.status";

/// An event on the span of a stream for each of its orders; the SDK keeps the first 128.
const ORDER_PLACED: &str = "order placed";

/// In the context of a span that is about many orders.
#[derive(Clone, Copy, Debug)]
struct OfMany;

/// The same context, for work on one of the many orders that its span is about: an attribute would be there once for each
/// order, and leave no room for others.
#[must_use]
pub fn of_many(context: &Context) -> Context {
    context.with_value(OfMany)
}

/// Says on the span of `context` which order it is about. On one that is about many orders it is an event.
pub fn set_order(context: &Context, order_id: &str) {
    if context.get::<OfMany>().is_none() {
        return set(context, ORDER_ID, || order_id.to_owned());
    }
    let span = context.span();
    if span.is_recording() {
        span.add_event(ORDER_PLACED, vec![KeyValue::new(ORDER_ID, order_id.to_owned())]);
    }
}

/// Says on the span of `context` which status the order has now: `confirmed`, written as the API names it (`CONFIRMED`).
/// Not on one that is about many orders.
pub fn set_status(context: &Context, status: &str) {
    if context.get::<OfMany>().is_none() {
        set(context, ORDER_STATUS, || status.to_ascii_uppercase());
    }
}

fn set(context: &Context, key: &'static str, value: impl FnOnce() -> String) {
    let span = context.span();
    if span.is_recording() {
        span.set_attribute(KeyValue::new(key, value()));
    }
}
