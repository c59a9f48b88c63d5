//! Errors of this service as the contract's table says.

use std::time::Duration;

use postgres::sqlstate::{self, Verdict};
use postgres::{LookupError, WriteError};
use proto::reasons;
use proto::values::OrderId;
use tonic::Status;
use transport::error::ErrorDomain;

pub(super) const DOMAIN: ErrorDomain = ErrorDomain::INVENTORY;
pub(super) const SKU_TYPE: &str = "inventory.v1.StockItem";
const RESERVATION_TYPE: &str = "inventory.v1.Reservation";
const DATABASE: &str = "database";
/// When to try again: soon after a queue was full, later after an outage.
const SOON: Duration = Duration::from_millis(100);
const LATER: Duration = Duration::from_secs(1);

pub(super) fn of_write(error: WriteError) -> Status {
    match error {
        WriteError::Overloaded => DOMAIN.overloaded(SOON),
        WriteError::Unavailable => DOMAIN.unavailable(DATABASE, LATER),
        WriteError::Stopping => DOMAIN.draining(SOON),
        // Logged where it was met, with what the database said.
        WriteError::Refused => DOMAIN.internal(),
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

pub(super) fn reservation_not_found(order_id: OrderId) -> Status {
    DOMAIN.not_found(reasons::RESERVATION_NOT_FOUND, RESERVATION_TYPE, &order_id.to_string())
}
