//! Errors of this service as the contract's table says.

use std::time::Duration;

use postgres::sqlstate::{self, Verdict};
use postgres::{LookupError, WriteError};
use proto::reasons;
use proto::values::OrderId;
use tonic::Status;
use transport::error::ErrorDomain;

use crate::use_cases::{MoveError, PlaceError};

pub(super) const DOMAIN: ErrorDomain = ErrorDomain::ORDERS;
const ORDER_TYPE: &str = "orders.v1.Order";
const DATABASE: &str = "database";
/// When to try again: soon after a queue was full, later after an outage.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(1);

pub(super) fn of_place(error: PlaceError) -> Status {
    match error {
        PlaceError::Write(error) => of_write(error),
        PlaceError::TooManyUnfinished => DOMAIN.overloaded(LATER),
        PlaceError::RequestIdReused => {
            let text = "this request_id belongs to an order with another body; use a new one for a new order";
            DOMAIN.already_exists(reasons::REQUEST_ID_REUSED, text)
        }
    }
}

pub(super) fn of_move(order_id: OrderId, error: MoveError) -> Status {
    match error {
        MoveError::Write(error) => of_write(error),
        MoveError::NotFound => order_not_found(order_id),
        MoveError::Forbidden(order) => {
            let status = order.status.label().to_uppercase();
            let text = format!("the order is {status}, which does not allow it; repeating the call does not help");
            DOMAIN.failed_precondition(reasons::ORDER_STATE, &order_id.to_string(), &status, &text)
        }
    }
}

pub(super) fn of_lookup(error: &LookupError) -> Status {
    match error {
        LookupError::Overloaded => DOMAIN.overloaded(SOON),
        LookupError::Database(error) => of_read(error),
    }
}

pub(super) fn of_read(error: &sqlx::Error) -> Status {
    match sqlstate::verdict(error) {
        Verdict::Again | Verdict::Away => {
            tracing::warn!(%error, "the database can't be read");
            DOMAIN.unavailable(DATABASE, LATER)
        }
        Verdict::Command | Verdict::Bug => {
            tracing::error!(%error, "a read failed");
            DOMAIN.internal()
        }
    }
}

pub(super) fn order_not_found(order_id: OrderId) -> Status {
    DOMAIN.not_found(reasons::ORDER_NOT_FOUND, ORDER_TYPE, &order_id.to_string())
}

fn of_write(error: WriteError) -> Status {
    match error {
        WriteError::Overloaded => DOMAIN.overloaded(SOON),
        WriteError::Unavailable => DOMAIN.unavailable(DATABASE, LATER),
        WriteError::Stopping => DOMAIN.draining(SOON),
        // Logged where it was met, with what the database said.
        WriteError::Refused => DOMAIN.internal(),
    }
}
