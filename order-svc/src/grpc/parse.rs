//! Requests into the domain: every bad field is named at once.

use std::collections::BTreeSet;

use proto::orders::v1 as api;
use proto::values::{CustomerId, InvalidValue, OrderId, Quantity, RequestId, Sku};
use tonic::Status;
use transport::error::FieldViolation;
use transport::paging;

use super::errors::DOMAIN;
use crate::domain::order;
use crate::store::reads::OrderFilter;
use crate::use_cases::Placement;

/// Lines of an order at most.
const MOST_LINES: usize = 100;
/// Characters of a note.
const LONGEST_NOTE: usize = 256;

pub(super) fn place(request: api::PlaceOrderRequest) -> Result<Placement, Status> {
    let mut violations = Vec::new();
    let request_id = Some(request.request_id).filter(|request_id| !request_id.is_empty());
    let request_id = request_id.map(|text| RequestId::parse(&text)).transpose();
    let request_id = take(&mut violations, "request_id", request_id).flatten();
    let customer_id = take(&mut violations, "customer_id", CustomerId::parse(&request.customer_id));
    if request.lines.is_empty() || request.lines.len() > MOST_LINES {
        violations.push(FieldViolation::new("lines", "must be 1 to 100 lines"));
    }
    let mut seen = BTreeSet::new();
    let mut lines = Vec::with_capacity(request.lines.len().min(MOST_LINES));
    for (index, line) in request.lines.iter().take(MOST_LINES).enumerate() {
        let sku = take(&mut violations, format!("lines[{index}].sku"), Sku::parse(&line.sku));
        let quantity = take(&mut violations, format!("lines[{index}].quantity"), Quantity::parse(line.quantity));
        if let Some(sku) = &sku
            && !seen.insert(sku.clone())
        {
            violations.push(FieldViolation::new(format!("lines[{index}].sku"), "must stand in one line only"));
        }
        lines.extend(sku.zip(quantity));
    }
    match customer_id {
        Some(customer_id) if violations.is_empty() => Ok(Placement { customer_id, request_id, lines }),
        _ => Err(DOMAIN.invalid_fields(violations)),
    }
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Status> {
    OrderId::parse(text)
        .map_err(|invalid| DOMAIN.invalid_fields(vec![FieldViolation::new("order_id", invalid.to_string())]))
}

pub(super) fn cancel(request: api::CancelOrderRequest) -> Result<(OrderId, String), Status> {
    let mut violations = Vec::new();
    let order_id = take(&mut violations, "order_id", OrderId::parse(&request.order_id));
    if request.note.chars().count() > LONGEST_NOTE || request.note.chars().any(char::is_control) {
        let rule = "must be at most 256 characters, none of them a control character";
        violations.push(FieldViolation::new("note", rule));
    }
    match order_id {
        Some(order_id) if violations.is_empty() => Ok((order_id, request.note)),
        _ => Err(DOMAIN.invalid_fields(violations)),
    }
}

pub(super) fn list(request: &api::ListOrdersRequest) -> Result<(OrderFilter, i64), Status> {
    let mut violations = Vec::new();
    let page_size = paging::page_size(request.page_size).map_err(|violation| violations.push(violation)).ok();
    let customer_id = Some(request.customer_id.as_str()).filter(|customer_id| !customer_id.is_empty());
    let customer_id = take(&mut violations, "customer_id", customer_id.map(CustomerId::parse).transpose()).flatten();
    let status = api::OrderStatus::try_from(request.status).map_err(|_| InvalidValue("must be a known status"));
    let status = take(&mut violations, "status", status).and_then(status_filter);
    let page_size = match page_size {
        Some(page_size) if violations.is_empty() => page_size,
        _ => return Err(DOMAIN.invalid_fields(violations)),
    };
    let before = if request.page_token.is_empty() {
        None
    } else {
        let key = paging::decode_token(&request.page_token).and_then(|key| OrderId::parse(&key).ok());
        Some(key.ok_or_else(|| DOMAIN.invalid_page_token())?)
    };
    Ok((OrderFilter { customer_id, status, before }, page_size))
}

fn status_filter(status: api::OrderStatus) -> Option<order::Status> {
    match status {
        api::OrderStatus::Unspecified => None,
        api::OrderStatus::Pending => Some(order::Status::Pending),
        api::OrderStatus::Confirmed => Some(order::Status::Confirmed),
        api::OrderStatus::Rejected => Some(order::Status::Rejected),
        api::OrderStatus::Cancelled => Some(order::Status::Cancelled),
        api::OrderStatus::Fulfilled => Some(order::Status::Fulfilled),
    }
}

fn take<T>(
    violations: &mut Vec<FieldViolation>,
    field: impl Into<String>,
    parsed: Result<T, InvalidValue>,
) -> Option<T> {
    parsed.map_err(|invalid| violations.push(FieldViolation::new(field, invalid.to_string()))).ok()
}
