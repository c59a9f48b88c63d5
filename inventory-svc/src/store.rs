//! Stock and reservations in Postgres.
//!
//! Every write is a batch of [commands](crate::domain::ledger::Command), whether one caller or many are behind it, whether
//! they came over gRPC (through the writer) or from Kafka (in the consumer's transaction). A batch runs in four steps:
//!
//! 1. [`lock`]: take every lock, in one order (T1): rows of imports, new SKUs, reservations by id, SKUs by name. Claim the
//!    reservations that don't exist yet by inserting them (T3). Then read what is there.
//! 2. The [ledger](crate::domain::ledger) applies the commands, in their order, in memory.
//! 3. [`save`]: write one net change for each row (T2), the outbox rows after the row locks (R1), the stock last.
//! 4. Commit, by whoever opened the transaction.

pub mod events;
mod imports;
mod lock;
pub mod reads;
mod rows;
mod save;

use std::sync::Arc;

use futures::future::BoxFuture;
use messaging::consumer::Standing;
use messaging::outbox;
use messaging::recent::Recent;
use messaging::relay::RelayWaker;
use observability::propagation::TraceHeaders;
use postgres::{Batch, Transaction};
use proto::values::OrderId;

use crate::domain::ledger::{Command, Outcome};

/// A command, and the trace that its event belongs to.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// What is wanted.
    pub command: Command,
    /// The request or record behind it.
    pub trace: TraceHeaders,
}

/// Writes batches of commands.
#[derive(Clone, Debug)]
pub struct StockStore {
    relay: RelayWaker,
    /// Orders that this replica has decided about.
    decided: Arc<Recent<OrderId, ()>>,
}

/// Decisions that are remembered at least: those of the seconds until the orders' own events come.
const REMEMBERED: usize = 50_000;

impl StockStore {
    /// `relay` is woken when something was committed.
    #[must_use]
    pub fn new(relay: RelayWaker) -> Self {
        Self { relay, decided: Arc::new(Recent::new(REMEMBERED)) }
    }

    /// What is known of an event of an order. Reserve is called, as a rule, when an order is placed; a reservation that
    /// exists answers OrderPlaced, whatever became of it.
    #[must_use]
    pub fn standing(&self, command: &Command) -> Standing {
        match command {
            Command::Reserve { order_id, .. } => match self.decided.get(order_id) {
                Some(()) => Standing::OldNews,
                None => Standing::Expected,
            },
            Command::Close { .. } | Command::Import { .. } => Standing::News,
        }
    }

    /// Wakes whoever waits for committed events.
    pub fn wake(&self) {
        self.relay.wake();
    }
}

impl Batch for StockStore {
    const OPERATION: &'static str = "write_stock";
    type Command = Submitted;
    type Outcome = Outcome;

    fn goes_first(submitted: &Submitted) -> bool {
        match submitted.command {
            Command::Close { .. } => true,
            Command::Reserve { .. } | Command::Import { .. } => false,
        }
    }

    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        commands: &'t [Submitted],
    ) -> BoxFuture<'t, Result<Vec<Outcome>, sqlx::Error>> {
        Box::pin(apply(transaction, commands))
    }

    fn committed(&self, outcomes: &[Outcome]) {
        self.decided.remember(outcomes.iter().filter_map(|outcome| match outcome {
            Outcome::Reservation { reservation, .. } => Some((reservation.order_id, ())),
            Outcome::OrderClosed
            | Outcome::Mismatch
            | Outcome::NotFound
            | Outcome::WrongState(_)
            | Outcome::Imported(_) => None,
        }));
        self.wake();
    }
}

/// Applies `commands` in their order; one outcome each.
///
/// # Errors
/// Those of the database; the transaction is then to be rolled back.
pub async fn apply(transaction: &mut Transaction, commands: &[Submitted]) -> Result<Vec<Outcome>, sqlx::Error> {
    let now = postgres::now();
    let (mut ledger, claims) = lock::lock_and_load(transaction, commands, now).await?;
    let mut records = Vec::new();
    let mut outcomes = Vec::with_capacity(commands.len());
    for Submitted { command, trace } in commands {
        let outcome = ledger.apply(command, now);
        records.extend(events::event_of(&outcome, trace));
        outcomes.push(outcome);
    }
    save::reservations(transaction, &ledger, &claims).await?;
    imports::save(transaction, &ledger, &claims.rows).await?;
    outbox::append(transaction, &records).await?;
    save::stock(transaction, &ledger, &claims).await?;
    Ok(outcomes)
}
