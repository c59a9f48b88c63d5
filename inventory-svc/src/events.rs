//! What inventory does with the events of orders: the rows OrderPlaced, OrderCancelled and OrderFulfilled of the
//! protocol's table "inventory has →". They bring about what a lost or late call would have.

use std::collections::BTreeSet;

use messaging::consumer::{Applying, Handler, Poison, Standing, Traced, Verdict};
use messaging::dead_letter::Reason;
use messaging::record::Record;
use postgres::Transaction;
use prost::{Message as _, Name as _};
use proto::events::v1 as events;
use proto::values::{OrderId, Quantity, Sku};

use crate::domain::ledger::{Command, Outcome};
use crate::domain::reservation::{Closing, RequestedLine};
use crate::store::{self, StockStore, Submitted};

/// Applies events of `orders.v1`.
#[derive(Debug)]
pub struct OrderEvents {
    store: StockStore,
}

impl OrderEvents {
    /// Into `store`.
    #[must_use]
    pub fn new(store: StockStore) -> Self {
        Self { store }
    }
}

impl Handler for OrderEvents {
    type Event = Command;
    type Effects = ();

    fn decode(&self, record: &Record) -> Result<Option<Command>, Poison> {
        let value = record.value.as_deref().unwrap_or_default();
        let event_type = record.event_type().unwrap_or_default();
        if event_type == events::OrderPlaced::full_name() {
            let placed = events::OrderPlaced::decode(value).map_err(undecodable)?;
            let order_id = order_id(&placed.order_id)?;
            Ok(Some(Command::Reserve { order_id, lines: lines(&placed.lines)? }))
        } else if event_type == events::OrderCancelled::full_name() {
            let cancelled = events::OrderCancelled::decode(value).map_err(undecodable)?;
            Ok(Some(Command::Close { order_id: order_id(&cancelled.order_id)?, closing: Closing::Release }))
        } else if event_type == events::OrderFulfilled::full_name() {
            let fulfilled = events::OrderFulfilled::decode(value).map_err(undecodable)?;
            Ok(Some(Command::Close { order_id: order_id(&fulfilled.order_id)?, closing: Closing::Ship }))
        } else if event_type == events::OrderConfirmed::full_name() || event_type == events::OrderRejected::full_name()
        {
            // They tell of our own decision.
            Ok(None)
        } else {
            Err(Poison { reason: Reason::UnknownType, error: format!("no event of orders.v1: ce_type {event_type:?}") })
        }
    }

    fn standing(&self, event: &Command) -> Standing {
        self.store.standing(event)
    }

    fn apply<'t>(&'t self, transaction: &'t mut Transaction, events: &'t [&'t Traced<Command>]) -> Applying<'t, ()> {
        Box::pin(async move {
            let submitted =
                |traced: &&Traced<Command>| Submitted { command: traced.event.clone(), trace: traced.trace.clone() };
            let commands: Vec<Submitted> = events.iter().map(submitted).collect();
            let outcomes = store::apply(transaction, &commands).await?;
            Ok((outcomes.into_iter().map(verdict).collect(), ()))
        })
    }

    fn committed(&self, _effects: Option<()>) {
        self.store.wake();
    }
}

/// What became of an event that was applied with this outcome.
#[must_use]
pub fn verdict(outcome: Outcome) -> Verdict {
    match outcome {
        Outcome::Reservation { changed: true, .. } | Outcome::Imported(_) => Verdict::Applied,
        // The call came first, or the record came again.
        Outcome::Reservation { changed: false, .. } | Outcome::OrderClosed | Outcome::Mismatch => Verdict::Ignored,
        Outcome::NotFound => Verdict::Impossible("fulfilled, but nothing was ever reserved for the order".to_owned()),
        Outcome::WrongState(status) => {
            Verdict::Impossible(format!("the order's reservation is {status:?}, which does not allow it"))
        }
    }
}

fn undecodable(error: prost::DecodeError) -> Poison {
    Poison { reason: Reason::Undecodable, error: error.to_string() }
}

fn order_id(text: &str) -> Result<OrderId, Poison> {
    OrderId::parse(text).map_err(|invalid| Poison { reason: Reason::Undecodable, error: format!("order_id {invalid}") })
}

/// What an order may hold, and the API would take: 1 line or more, each SKU once.
fn lines(given: &[events::EventLine]) -> Result<Vec<RequestedLine>, Poison> {
    let lines = given.iter().map(line).collect::<Result<Vec<_>, _>>()?;
    let skus: BTreeSet<&Sku> = lines.iter().map(|line| &line.sku).collect();
    if lines.is_empty() || skus.len() < lines.len() {
        let error = "lines must be 1 or more, with each SKU once".to_owned();
        return Err(Poison { reason: Reason::Undecodable, error });
    }
    Ok(lines)
}

fn line(line: &events::EventLine) -> Result<RequestedLine, Poison> {
    let invalid = |invalid| Poison { reason: Reason::Undecodable, error: format!("line {:?} {invalid}", line.sku) };
    Ok(RequestedLine {
        sku: Sku::parse(&line.sku).map_err(invalid)?,
        quantity: Quantity::parse(line.quantity).map_err(invalid)?,
    })
}
