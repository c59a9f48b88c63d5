//! The order service: takes orders and owns their life cycle.
//!
//! ```text
//!  gRPC ──► grpc ──► use_cases ──► writer ──► store ──► Postgres: orders, unfinished_orders, outbox
//!                        │                     │  ▲
//!                        └─► inventory (gRPC)  │  └──── domain
//!  inventory.v1 ──► events ────────────────────┘             relay ──► orders.v1
//! ```
//!
//! What is durable when, and who goes on if this process dies:
//!
//! | step of PlaceOrder | durable | dies here: who goes on |
//! |---|---|---|
//! | 1 order PENDING, request key, OrderPlaced | one commit | before: nobody, the caller repeats its request; after: inventory, by OrderPlaced |
//! | 2 Reserve | in inventory: reservation and StockReserved | our consumer, by StockReserved |
//! | 3 CONFIRMED or REJECTED, its event | one commit | nobody needs to |
//!
//! The caller is answered after 3; or after 1 when its deadline comes first or inventory is away (O1). Cancelling and
//! fulfilling are one commit each; inventory hears of it by event and answers by event that the stock is settled. What
//! stays unfinished although nothing is away is taken further by the [sweep] (O4).

pub mod admission;
mod app;
pub mod domain;
pub mod events;
pub mod grpc;
pub mod inventory;
pub mod news;
mod settings;
pub mod store;
pub mod sweep;
pub mod use_cases;

pub use app::OrderService;
pub use settings::OrderSettings;

/// The schema of its database: brought up to date at each start; tools look whether it is.
#[must_use]
pub fn migrations() -> sqlx::migrate::Migrator {
    sqlx::migrate!("../migrations/orders")
}
