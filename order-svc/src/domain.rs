//! What an order is and how it moves. Pure: no clock, no database, no network; time and ids are arguments.
//!
//! - [`order`]: an order, and what it was at each of its versions.
//! - [`decide`]: the state machine and the table "order is →" of the protocol.
//! - [`ledger`]: applies commands one after the other to what was loaded, and remembers what has changed, so that a batch
//!   writes one net change for each row (T2).

pub mod decide;
pub mod ledger;
pub mod order;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;
