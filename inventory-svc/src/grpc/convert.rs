//! The domain into responses.

use proto::inventory::v1 as api;
use proto::reasons;
use proto::values::{OrderId, timestamp};
use tonic::Status;

use super::errors::{self, DOMAIN};
use crate::domain::ledger::Outcome;
use crate::domain::reservation::{self, Rejection, Reservation};
use crate::domain::stock::StockItem;
use crate::use_cases::ImportSummary;

pub(super) fn reserve_response(order_id: OrderId, outcome: Outcome) -> Result<api::ReserveResponse, Status> {
    use api::reserve_response::Outcome as Answer;
    let answer = match outcome {
        Outcome::Reservation { reservation, .. } => match reservation.rejection {
            Some(rejected) => Answer::Rejection(rejection(rejected)),
            None => Answer::Reservation(self::reservation(reservation)),
        },
        Outcome::OrderClosed => {
            let reason = reasons::ORDER_CLOSED.to_owned();
            Answer::Rejection(api::Rejection { reason, shortages: Vec::new() })
        }
        Outcome::Mismatch => {
            let text = "this order has reserved other lines before; repeating the call does not help";
            return Err(DOMAIN.already_exists(reasons::RESERVATION_MISMATCH, text));
        }
        Outcome::NotFound | Outcome::WrongState(_) | Outcome::Imported(_) => return Err(unexpected(order_id)),
    };
    Ok(api::ReserveResponse { outcome: Some(answer) })
}

pub(super) fn close_response(order_id: OrderId, outcome: Outcome) -> Result<api::CloseReservationResponse, Status> {
    match outcome {
        Outcome::Reservation { reservation, .. } => {
            Ok(api::CloseReservationResponse { reservation: Some(self::reservation(reservation)) })
        }
        Outcome::NotFound => Err(errors::reservation_not_found(order_id)),
        Outcome::WrongState(status) => {
            let status = self::status(status).as_str_name().trim_start_matches("RESERVATION_STATUS_");
            let text = "the reservation was closed otherwise; repeating the call does not help";
            Err(DOMAIN.failed_precondition(reasons::ORDER_STATE, &order_id.to_string(), status, text))
        }
        Outcome::OrderClosed | Outcome::Mismatch | Outcome::Imported(_) => Err(unexpected(order_id)),
    }
}

pub(super) fn reservation(reservation: Reservation) -> api::Reservation {
    let lines = reservation.lines.into_iter().map(|line| api::ReservedLine {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        unit_price: line.unit_price.map(Into::into),
    });
    api::Reservation {
        order_id: reservation.order_id.to_string(),
        status: status(reservation.status).into(),
        lines: lines.collect(),
        create_time: Some(timestamp(reservation.create_time)),
        update_time: Some(timestamp(reservation.update_time)),
        rejection: reservation.rejection.map(rejection),
        version: u64::from(reservation.version),
    }
}

pub(super) fn item(item: StockItem) -> api::StockItem {
    api::StockItem {
        available: item.available(),
        sku: item.sku.to_string(),
        name: item.name,
        unit_price: Some(item.unit_price.into()),
        on_hand: item.on_hand,
        reserved: item.reserved,
        update_time: Some(timestamp(item.update_time)),
    }
}

pub(super) fn import_response(summary: ImportSummary) -> api::ImportStockResponse {
    let error = |bad: crate::use_cases::BadRow| api::RowError {
        row: bad.row,
        reason: bad.reason.to_owned(),
        message: bad.message,
    };
    api::ImportStockResponse {
        rows_received: summary.received,
        rows_applied: summary.applied,
        rows_already_applied: summary.already_applied,
        rows_rejected: summary.rejected,
        errors: summary.bad_rows.into_iter().map(error).collect(),
    }
}

fn rejection(rejection: Rejection) -> api::Rejection {
    let shortages = rejection.shortages.into_iter().map(|shortage| api::Shortage {
        sku: shortage.sku.to_string(),
        requested: shortage.requested,
        available: shortage.available,
    });
    api::Rejection { reason: rejection.reason.as_str().to_owned(), shortages: shortages.collect() }
}

fn status(status: reservation::Status) -> api::ReservationStatus {
    match status {
        reservation::Status::Held => api::ReservationStatus::Held,
        reservation::Status::Released => api::ReservationStatus::Released,
        reservation::Status::Shipped => api::ReservationStatus::Shipped,
        reservation::Status::Rejected => api::ReservationStatus::Rejected,
    }
}

fn unexpected(order_id: OrderId) -> Status {
    tracing::error!(order.id = %order_id, "a command was answered with another command's outcome");
    DOMAIN.internal()
}
