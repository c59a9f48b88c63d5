//! Orders in Postgres.
//!
//! Every write is a batch of [commands](crate::domain::ledger::Command), whether one caller or many are behind it, whether
//! they came over gRPC or from the sweep (through the writer) or from Kafka (in the consumer's transaction). A batch runs
//! in four steps:
//!
//! 1. [`lock`]: take every lock, in one order (T1): request keys, by inserting the new orders; then orders by id. Then
//!    read what is there.
//! 2. The [ledger](crate::domain::ledger) applies the commands, in their order, in memory.
//! 3. [`save`]: write one net change for each row (T2), the work list of the sweep with it, and the outbox rows (after the
//!    row locks, R1).
//! 4. Commit, by whoever opened the transaction.

pub mod events;
mod lock;
pub mod reads;
mod rows;
mod save;
pub mod unfinished;

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use messaging::consumer::Standing;
use messaging::outbox;
use messaging::recent::Recent;
use messaging::relay::RelayWaker;
use observability::propagation::TraceHeaders;
use postgres::{Batch, Transaction};
use proto::values::OrderId;

use crate::domain::decide::Happening;
use crate::domain::ledger::{Command, Outcome, Transition};
use crate::domain::order::{Order, Status};
use crate::news::News;

/// A command, and the trace that its event belongs to.
#[derive(Clone, Debug)]
pub struct Submitted {
    /// What is wanted.
    pub command: Command,
    /// The request or record behind it.
    pub trace: TraceHeaders,
    /// The order as the caller last read it, which saves reading it again if it has not moved since. Never believed without
    /// looking at the version under the lock.
    pub known: Option<Box<StoredOrder>>,
}

/// An outcome, and the trace of the placement of the order that it is about.
#[derive(Clone, Debug)]
pub struct Written {
    /// What became of the command.
    pub outcome: Outcome,
    /// The placement, to link to; empty when there is no order.
    pub placement: TraceHeaders,
}

/// An order, and the trace of its placement.
#[derive(Clone, Debug)]
pub struct StoredOrder {
    /// The order as it is.
    pub order: Order,
    /// The placement, to link to.
    pub placement: TraceHeaders,
}

/// Writes batches of commands.
#[derive(Clone, Debug)]
pub struct OrderStore {
    relay: RelayWaker,
    news: Arc<News>,
    sweep_after: Duration,
    /// CONFIRMED or REJECTED, as this replica has committed it.
    decided: Arc<Recent<OrderId, Status>>,
}

/// Decisions that are remembered at least: those of the seconds until their events come back.
const REMEMBERED: usize = 50_000;

impl OrderStore {
    /// `relay` and `news` hear of what was committed. An order that is unfinished for longer than `sweep_after` is the
    /// sweep's.
    #[must_use]
    pub fn new(relay: RelayWaker, news: Arc<News>, sweep_after: Duration) -> Self {
        Self { relay, news, sweep_after, decided: Arc::new(Recent::new(REMEMBERED)) }
    }

    /// Applies `commands` in their order; one outcome each.
    ///
    /// # Errors
    /// Those of the database; the transaction is then to be rolled back.
    pub async fn write(
        &self,
        transaction: &mut Transaction,
        commands: &[Submitted],
    ) -> Result<Vec<Written>, sqlx::Error> {
        let now = postgres::now();
        let sweep_at = now + self.sweep_after;
        let (mut ledger, placements) = lock::lock_and_load(transaction, commands, now, sweep_at).await?;
        let mut records = Vec::new();
        let mut written = Vec::with_capacity(commands.len());
        for Submitted { command, trace, .. } in commands {
            let outcome = ledger.apply(command, now);
            records.extend(events::event_of(&outcome, trace));
            let placement = placement_of(&outcome, &placements);
            written.push(Written { outcome, placement });
        }
        save::orders(transaction, &ledger).await?;
        save::unsettled(transaction, &ledger, sweep_at).await?;
        outbox::append(transaction, &records).await?;
        Ok(written)
    }

    /// What is known of an event of inventory: a decision is brought by the answer to Reserve, as a rule. Once an order is
    /// CONFIRMED, StockReserved is ignored whatever comes after; once REJECTED, StockRejected is.
    #[must_use]
    pub fn standing(&self, command: &Command) -> Standing {
        let Command::Happen { order_id, happening } = command else { return Standing::News };
        let decision = match happening {
            Happening::StockReserved(_) => Status::Confirmed,
            Happening::StockRejected(_) => Status::Rejected,
            Happening::StockReleased | Happening::StockShipped | Happening::Cancel { .. } | Happening::Fulfill => {
                return Standing::News;
            }
        };
        match self.decided.get(order_id) {
            Some(decided) if decided == decision => Standing::OldNews,
            Some(_) => Standing::News,
            None => Standing::Expected,
        }
    }

    /// Tells everyone who waits what was committed.
    pub fn announce(&self, written: &[Written]) {
        self.decided.remember(written.iter().filter_map(|written| decision(&written.outcome)));
        self.relay.wake();
        self.news.announce(written);
    }
}

impl Batch for OrderStore {
    const OPERATION: &'static str = "write_orders";
    type Command = Submitted;
    type Outcome = Written;

    fn goes_first(submitted: &Submitted) -> bool {
        match submitted.command {
            Command::Happen { .. } => true,
            Command::Place(_) => false,
        }
    }

    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        commands: &'t [Submitted],
    ) -> BoxFuture<'t, Result<Vec<Written>, sqlx::Error>> {
        Box::pin(self.write(transaction, commands))
    }

    fn committed(&self, written: &[Written]) {
        self.announce(written);
    }
}

fn decision(outcome: &Outcome) -> Option<(OrderId, Status)> {
    match outcome {
        Outcome::Order { order, transition: Some(Transition { to, .. }), .. } => match to {
            Status::Confirmed | Status::Rejected => Some((order.order_id, *to)),
            Status::Pending | Status::Cancelled | Status::Fulfilled => None,
        },
        Outcome::Order { transition: None, .. }
        | Outcome::RequestIdReused
        | Outcome::NotFound
        | Outcome::Forbidden(_)
        | Outcome::Impossible(_) => None,
    }
}

fn placement_of(outcome: &Outcome, placements: &HashMap<OrderId, TraceHeaders>) -> TraceHeaders {
    let order_id = match outcome {
        Outcome::Order { order, .. } | Outcome::Forbidden(order) => order.order_id,
        Outcome::RequestIdReused | Outcome::NotFound | Outcome::Impossible(_) => return TraceHeaders::default(),
    };
    placements.get(&order_id).cloned().unwrap_or_default()
}
