//! What stock and reservations are allowed to do. Pure: no clock, no database, no network; time is an argument.
//!
//! - [`reservation`]: one per order, and its state machine.
//! - [`stock`]: what there is of each SKU, and the planner that promises it, never more than there is (I2).
//! - [`ledger`]: applies commands one after the other to what was loaded, and remembers what has changed, so that a batch
//!   writes one net change for each row (T2).
//! - [`import`]: rows of a stock import.

pub mod import;
pub mod ledger;
pub mod reservation;
pub mod stock;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
