//! The domain into responses.

use proto::orders::v1 as api;
use proto::values::timestamp;

use crate::domain::order::{Order, Shortage, Status};

pub(super) fn order(order: Order) -> api::Order {
    let update_time = order.update_time();
    let (reject_reason, shortages) = match order.rejection {
        Some(rejection) => (rejection.reason, rejection.shortages),
        None => (String::new(), Vec::new()),
    };
    let (status_reason, status_note) = match order.cancellation {
        Some(cancellation) => (cancellation.reason, cancellation.note),
        None => (reject_reason, String::new()),
    };
    let lines = order.lines.into_iter().map(|line| api::OrderLine {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        unit_price: line.unit_price.map(Into::into),
    });
    api::Order {
        order_id: order.order_id.to_string(),
        customer_id: order.customer_id.to_string(),
        lines: lines.collect(),
        status: status(order.status).into(),
        status_reason,
        total: order.total.map(Into::into),
        version: u64::from(order.version),
        create_time: Some(timestamp(order.create_time)),
        update_time: Some(timestamp(update_time)),
        request_id: order.request_id.map(|request_id| request_id.to_string()).unwrap_or_default(),
        status_note,
        shortages: shortages.into_iter().map(shortage).collect(),
    }
}

fn shortage(shortage: Shortage) -> api::Shortage {
    api::Shortage { sku: shortage.sku.to_string(), requested: shortage.requested, available: shortage.available }
}

fn status(status: Status) -> api::OrderStatus {
    match status {
        Status::Pending => api::OrderStatus::Pending,
        Status::Confirmed => api::OrderStatus::Confirmed,
        Status::Rejected => api::OrderStatus::Rejected,
        Status::Cancelled => api::OrderStatus::Cancelled,
        Status::Fulfilled => api::OrderStatus::Fulfilled,
    }
}
