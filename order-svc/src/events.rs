//! What orders do with the events of inventory: the protocol's table "order is →". They complete an order that its caller
//! did not wait for, and tell that a final order's stock is settled.

use messaging::consumer::{Applying, Handler, Poison, Standing, Traced, Verdict};
use messaging::dead_letter::Reason;
use messaging::record::Record;
use postgres::Transaction;
use prost::{Message as _, Name as _};
use proto::events::v1 as events;
use proto::values::{Money, OrderId, Sku};

use crate::domain::decide::{Happening, Price};
use crate::domain::ledger::{Command, Outcome};
use crate::domain::order::{Rejection, Shortage};
use crate::store::{OrderStore, Submitted, Written};

/// Applies events of `inventory.v1`.
#[derive(Debug)]
pub struct StockEvents {
    store: OrderStore,
}

impl StockEvents {
    /// Into `store`.
    #[must_use]
    pub fn new(store: OrderStore) -> Self {
        Self { store }
    }
}

impl Handler for StockEvents {
    type Event = Command;
    type Effects = Vec<Written>;

    fn decode(&self, record: &Record) -> Result<Option<Command>, Poison> {
        let value = record.value.as_deref().unwrap_or_default();
        let event_type = record.event_type().unwrap_or_default();
        let (order_id, happening) = if event_type == events::StockReserved::full_name() {
            let reserved = events::StockReserved::decode(value).map_err(undecodable)?;
            let prices = reserved.lines.iter().map(price).collect::<Result<_, _>>()?;
            (reserved.order_id, Happening::StockReserved(prices))
        } else if event_type == events::StockRejected::full_name() {
            let rejected = events::StockRejected::decode(value).map_err(undecodable)?;
            (rejected.order_id.clone(), Happening::StockRejected(rejection(rejected)?))
        } else if event_type == events::StockReleased::full_name() {
            let released = events::StockReleased::decode(value).map_err(undecodable)?;
            (released.order_id, Happening::StockReleased)
        } else if event_type == events::StockShipped::full_name() {
            let shipped = events::StockShipped::decode(value).map_err(undecodable)?;
            (shipped.order_id, Happening::StockShipped)
        } else {
            let error = format!("no event of inventory.v1: ce_type {event_type:?}");
            return Err(Poison { reason: Reason::UnknownType, error });
        };
        let order_id = OrderId::parse(&order_id).map_err(|error| malformed(&format!("order_id {error}")))?;
        Ok(Some(Command::Happen { order_id, happening }))
    }

    fn standing(&self, event: &Command) -> Standing {
        self.store.standing(event)
    }

    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        events: &'t [&'t Traced<Command>],
    ) -> Applying<'t, Vec<Written>> {
        Box::pin(async move {
            let submitted = |traced: &&Traced<Command>| Submitted {
                command: traced.event.clone(),
                trace: traced.trace.clone(),
                known: None,
            };
            let commands: Vec<Submitted> = events.iter().map(submitted).collect();
            let written = self.store.write(transaction, &commands).await?;
            Ok((written.iter().map(|written| verdict(&written.outcome)).collect(), written))
        })
    }

    fn committed(&self, effects: Option<Vec<Written>>) {
        self.store.announce(&effects.unwrap_or_default());
    }
}

/// What became of an event that was applied with this outcome.
#[must_use]
pub fn verdict(outcome: &Outcome) -> Verdict {
    match outcome {
        Outcome::Order { transition: Some(_), .. } => Verdict::Applied,
        Outcome::Order { transition: None, .. } => Verdict::Ignored,
        Outcome::NotFound => Verdict::Impossible("no such order".to_owned()),
        Outcome::Impossible(why) => Verdict::Impossible((*why).to_owned()),
        Outcome::Forbidden(_) | Outcome::RequestIdReused => {
            Verdict::Impossible("inventory's event was answered as a request".to_owned())
        }
    }
}

fn undecodable(error: prost::DecodeError) -> Poison {
    malformed(&error.to_string())
}

fn malformed(error: &str) -> Poison {
    Poison { reason: Reason::Undecodable, error: error.to_owned() }
}

fn price(line: &events::EventLine) -> Result<Price, Poison> {
    let sku = Sku::parse(&line.sku).map_err(|error| malformed(&format!("line {:?} {error}", line.sku)))?;
    let unit_price = line.unit_price.as_ref().ok_or_else(|| malformed(&format!("line {sku} has no unit_price")))?;
    let unit_price = Money::parse_price(unit_price).map_err(|error| malformed(&format!("line {sku}: {error}")))?;
    Ok(Price { sku, unit_price })
}

fn rejection(rejected: events::StockRejected) -> Result<Rejection, Poison> {
    if rejected.reason.is_empty() {
        return Err(malformed("no reason"));
    }
    let shortage = |shortage: events::EventShortage| {
        let sku = Sku::parse(&shortage.sku).map_err(|error| malformed(&format!("shortage {error}")))?;
        Ok(Shortage { sku, requested: shortage.requested, available: shortage.available })
    };
    let shortages = rejected.shortages.into_iter().map(shortage).collect::<Result<_, Poison>>()?;
    Ok(Rejection { reason: rejected.reason, shortages })
}
