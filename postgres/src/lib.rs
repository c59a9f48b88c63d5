//! How the services use Postgres: two pools, one way to run a transaction, one writer that commits for many.
//!
//! What this crate guarantees, and where:
//!
//! - **A transaction is never cancelled half-way** ([`writer`]): a gRPC handler is dropped when
//!   its caller gives up, so transactions run on tasks that nobody drops (T7). sqlx's own `begin()` is
//!   banned by clippy; what a [`Transaction`] is handed to is known to be inside one.
//! - **Many commands share a commit** ([`writer`]): whatever is waiting goes into one transaction of set statements; each
//!   command gets its own outcome.
//! - **Many reads share a query** ([`lookup`]): keys that are waiting are looked up together, but never in a query that was
//!   sent before they were asked for (O7).
//! - **A commit in doubt is settled, not reported as failed** (T4, [`writer`]): when the connection breaks after COMMIT was
//!   sent, the same commands are submitted again, unchanged, until the database says what became of them.
//! - **Failures are told apart once** ([`sqlstate`]): the command's own fault, worth another try, or a bug.
//! - **A database that is away is waited for** ([`Database::watch`]): a service starts without it, says so in its health,
//!   and migrates when it comes.

mod database;
pub mod lookup;
mod probe;
mod queue;
pub mod schema;
mod settings;
pub mod sqlstate;
pub mod telemetry;
mod transaction;
pub mod writer;

use sqlx::types::time::OffsetDateTime;

pub use database::Database;
pub use lookup::{Lookup, LookupError};
pub use settings::DatabaseSettings;
pub use transaction::{Transaction, TransactionError, contained};
pub use writer::{Batch, WriteError, Writer};

/// Now, in the microseconds that Postgres keeps: what is answered is what will be read.
#[must_use]
pub fn now() -> OffsetDateTime {
    let now = OffsetDateTime::now_utc();
    now.replace_nanosecond(now.nanosecond() / 1_000 * 1_000).unwrap_or(now)
}
