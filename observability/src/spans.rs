//! Every kind of span of the platform, named as the OpenTelemetry semantic conventions say.
//!
//! A function that opens a span returns the context to work in; [`end`] (or [`end_rpc`]) closes it. Work in a trace
//! that is not recorded costs next to nothing: the parent's own context comes back, so its ids pass on, and everything
//! here does nothing to it.

mod database;
mod messaging;
mod open;
mod rpc;
mod shop;

pub use database::{DatabaseSpan, database};
pub use messaging::{process, send};
pub use open::{end, fail, internal, link};
pub use rpc::{client, end_rpc, retried, server};
pub use shop::{of_many, set_order, set_status};
