//! The inventory service: owns the stock and promises it to orders, never more than there is.
//!
//! ```text
//!  gRPC ──► grpc ──► use_cases ──► writer ──► store ──► Postgres: reservations, stock, imported_rows, outbox
//!  orders.v1 ──► events ───────────────────────▲  │
//!                                     domain ◄─────┘            relay ──► inventory.v1
//! ```
//!
//! What is durable when, and who repeats it:
//!
//! - **Reserve** commits the reservation, the quantities and the event together, then answers. A caller that hears nothing
//!   calls again: a reservation is one per order, the first outcome is every later one's. If it never does, OrderPlaced
//!   comes over Kafka and does the same.
//! - **Release and ship** come as OrderCancelled and OrderFulfilled over Kafka; when those get lost, order-svc's sweep
//!   calls CloseReservation. Each is a state change of the reservation, so a second one changes nothing.
//! - **ImportStock** commits chunks of rows with their keys; a broken stream is sent again and goes on where it broke.
//!
//! A reservation exists only for an order that exists, so it needs no time-out of its own.

mod app;
pub mod domain;
pub mod events;
pub mod grpc;
mod settings;
pub mod store;
pub mod use_cases;

pub use app::InventoryService;
pub use settings::InventorySettings;

/// The schema of its database: brought up to date at each start; tools look whether it is.
#[must_use]
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../migrations/inventory")
}
