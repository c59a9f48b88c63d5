//! The event of an order's new version.

use messaging::outbox::OutboxRecord;
use observability::propagation::TraceHeaders;
use proto::events::v1 as events;
use proto::topics;
use proto::values::timestamp;

use crate::domain::ledger::Outcome;
use crate::domain::order::{Order, OrderLine, Status};

/// The outbox row of an outcome that moved an order: every version has exactly one (I3).
#[must_use]
pub fn event_of(outcome: &Outcome, trace: &TraceHeaders) -> Option<OutboxRecord> {
    let Outcome::Order { order, transition: Some(transition), .. } = outcome else { return None };
    let order_id = order.order_id.to_string();
    let customer_id = order.customer_id.to_string();
    let version = u64::from(order.version);
    let occur_time = Some(timestamp(order.update_time()));
    Some(match transition.to {
        Status::Pending => {
            let lines = lines(&order.lines);
            record(order, &events::OrderPlaced { order_id, customer_id, lines, version, occur_time }, trace)
        }
        Status::Confirmed => {
            let (lines, total) = (lines(&order.lines), order.total.map(Into::into));
            let event = events::OrderConfirmed { order_id, customer_id, lines, total, version, occur_time };
            record(order, &event, trace)
        }
        Status::Rejected => {
            let reason = order.rejection.as_ref().map_or_else(String::new, |rejection| rejection.reason.clone());
            record(order, &events::OrderRejected { order_id, customer_id, reason, version, occur_time }, trace)
        }
        Status::Cancelled => {
            let reason = order.cancellation.as_ref().map_or_else(String::new, |cancelled| cancelled.reason.clone());
            record(order, &events::OrderCancelled { order_id, customer_id, reason, version, occur_time }, trace)
        }
        Status::Fulfilled => {
            record(order, &events::OrderFulfilled { order_id, customer_id, version, occur_time }, trace)
        }
    })
}

fn record(order: &Order, message: &impl prost::Name, trace: &TraceHeaders) -> OutboxRecord {
    OutboxRecord::event(topics::ORDERS, order.order_id.uuid(), message, order.update_time(), trace.clone())
}

fn lines(lines: &[OrderLine]) -> Vec<events::EventLine> {
    let line = |line: &OrderLine| events::EventLine {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        unit_price: line.unit_price.map(Into::into),
    };
    lines.iter().map(line).collect()
}
