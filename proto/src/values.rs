//! The contract's scalar fields as types: parsed once at the edge, then known to be right.
//!
//! Each type has one `parse`, which follows the comment of the field in the .proto file and says in its error what the
//! field has to look like. Both services read the same contract, so the rules stand here and not twice.

mod identifiers;
mod money;
mod quantity;
mod timestamp;

pub use identifiers::{CustomerId, ImportId, OrderId, RequestId, Sku};
pub use money::{AmountTooLarge, Currency, Money};
pub use quantity::Quantity;
pub use timestamp::{from_timestamp, timestamp};

/// What a field has to look like, for `BadRequest.FieldViolation.description`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidValue(pub &'static str);
