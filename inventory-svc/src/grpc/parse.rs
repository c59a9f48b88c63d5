//! Requests into the domain: every bad field is named at once.

use std::collections::BTreeSet;

use proto::inventory::v1 as api;
use proto::reasons;
use proto::values::{ImportId, InvalidValue, Money, OrderId, Quantity, Sku};
use tonic::Status;
use transport::error::FieldViolation;
use transport::paging;

use super::errors::DOMAIN;
use crate::domain::import::ImportRow;
use crate::domain::reservation::{Closing, RequestedLine};
use crate::use_cases::BadRow;

/// Lines of a reservation at most, as of an order.
const MOST_LINES: usize = 100;
/// Units that one row may add or take away.
const MOST_UNITS: u64 = 1_000_000_000_000_000;
/// Characters of a name.
const LONGEST_NAME: usize = 256;

pub(super) fn reserve(request: api::ReserveRequest) -> Result<(OrderId, Vec<RequestedLine>), Status> {
    let mut violations = Vec::new();
    let order_id = take(&mut violations, "order_id", OrderId::parse(&request.order_id));
    if request.lines.is_empty() || request.lines.len() > MOST_LINES {
        violations.push(FieldViolation::new("lines", "must be 1 to 100 lines"));
    }
    let mut seen = BTreeSet::new();
    let mut lines = Vec::with_capacity(request.lines.len());
    for (index, line) in request.lines.iter().take(MOST_LINES).enumerate() {
        let sku = take(&mut violations, format!("lines[{index}].sku"), Sku::parse(&line.sku));
        let quantity = take(&mut violations, format!("lines[{index}].quantity"), Quantity::parse(line.quantity));
        if let Some(sku) = &sku
            && !seen.insert(sku.clone())
        {
            violations.push(FieldViolation::new(format!("lines[{index}].sku"), "must stand in one line only"));
        }
        lines.extend(sku.zip(quantity).map(|(sku, quantity)| RequestedLine { sku, quantity }));
    }
    match order_id {
        Some(order_id) if violations.is_empty() => Ok((order_id, lines)),
        _ => Err(DOMAIN.invalid_fields(violations)),
    }
}

pub(super) fn close(request: &api::CloseReservationRequest) -> Result<(OrderId, Closing), Status> {
    let mut violations = Vec::new();
    let order_id = take(&mut violations, "order_id", OrderId::parse(&request.order_id));
    let closing = match request.status() {
        api::ReservationStatus::Released => Ok(Closing::Release),
        api::ReservationStatus::Shipped => Ok(Closing::Ship),
        api::ReservationStatus::Unspecified | api::ReservationStatus::Held | api::ReservationStatus::Rejected => {
            Err(InvalidValue("must be RELEASED or SHIPPED"))
        }
    };
    let closing = take(&mut violations, "status", closing);
    order_id.zip(closing).ok_or_else(|| DOMAIN.invalid_fields(violations))
}

pub(super) fn order_id(text: &str) -> Result<OrderId, Status> {
    OrderId::parse(text).map_err(|invalid| one("order_id", &invalid))
}

pub(super) fn sku(text: &str) -> Result<Sku, Status> {
    Sku::parse(text).map_err(|invalid| one("sku", &invalid))
}

pub(super) fn list(request: &api::ListStockRequest) -> Result<(i64, Option<Sku>), Status> {
    let page_size = paging::page_size(request.page_size).map_err(|violation| DOMAIN.invalid_fields(vec![violation]))?;
    if request.page_token.is_empty() {
        return Ok((page_size, None));
    }
    let after = paging::decode_token(&request.page_token).and_then(|key| Sku::parse(&key).ok());
    after.map(|sku| (page_size, Some(sku))).ok_or_else(|| DOMAIN.invalid_page_token())
}

/// The id of the whole import, from its first row: without one there is nothing to apply rows to.
pub(super) fn import_id<'a>(
    known: &'a mut Option<ImportId>,
    row: &api::ImportStockRequest,
) -> Result<&'a ImportId, Status> {
    match known {
        Some(import_id) => Ok(import_id),
        None => {
            let first = ImportId::parse(&row.import_id).map_err(|invalid| one("import_id", &invalid))?;
            Ok(known.insert(first))
        }
    }
}

pub(super) fn row(import_id: &ImportId, row: api::ImportStockRequest) -> Result<ImportRow, BadRow> {
    let number = row.row;
    let bad = |message: String| BadRow { row: number, reason: reasons::INVALID_FIELD, message };
    let invalid = |field: &str, invalid: InvalidValue| bad(format!("{field} {invalid}"));
    if row.import_id != import_id.as_str() {
        return Err(bad("import_id must be the same on every row of a stream".to_owned()));
    }
    if number == 0 || i64::try_from(number).is_err() {
        return Err(bad("row must be from 1 to 2^63 - 1".to_owned()));
    }
    if row.quantity.unsigned_abs() > MOST_UNITS {
        return Err(bad("quantity must be from -10^15 to 10^15".to_owned()));
    }
    if row.name.chars().count() > LONGEST_NAME || row.name.chars().any(char::is_control) {
        return Err(bad("name must be at most 256 characters, none of them a control character".to_owned()));
    }
    Ok(ImportRow {
        import_id: import_id.clone(),
        row: number,
        sku: Sku::parse(&row.sku).map_err(|error| invalid("sku", error))?,
        name: Some(row.name).filter(|name| !name.is_empty()),
        unit_price: row
            .unit_price
            .map(|price| Money::parse_price(&price))
            .transpose()
            .map_err(|error| invalid("unit_price", error))?,
        quantity: row.quantity,
    })
}

fn take<T>(
    violations: &mut Vec<FieldViolation>,
    field: impl Into<String>,
    parsed: Result<T, InvalidValue>,
) -> Option<T> {
    parsed.map_err(|invalid| violations.push(FieldViolation::new(field, invalid.to_string()))).ok()
}

fn one(field: &str, invalid: &InvalidValue) -> Status {
    DOMAIN.invalid_fields(vec![FieldViolation::new(field, invalid.to_string())])
}
