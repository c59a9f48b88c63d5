//! Commands, one after the other, on what was loaded for them.

use std::collections::{BTreeMap, BTreeSet};

use proto::values::{CustomerId, OrderId, RequestId};
use time::OffsetDateTime;

use super::decide::{self, Decision, Happening, NewOrder};
use super::order::{Order, Status};

/// What is to be done with an order.
#[derive(Clone, Debug)]
pub enum Command {
    /// Place a new one.
    Place(NewOrder),
    /// Something happens to one that exists.
    Happen {
        /// To which.
        order_id: OrderId,
        /// What.
        happening: Happening,
    },
}

/// A move of an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Transition {
    /// `None` at placement.
    pub from: Option<Status>,
    /// Where it is now.
    pub to: Status,
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The order as it is now.
    Order {
        /// As it is now.
        order: Box<Order>,
        /// The move that this command made, and so its event.
        transition: Option<Transition>,
        /// A placement found that the order had been placed by an earlier one.
        replayed: bool,
    },
    /// The request id belongs to an order with another body.
    RequestIdReused,
    /// There is no such order.
    NotFound,
    /// The state machine forbids it; the order stays as it is.
    Forbidden(Box<Order>),
    /// Inventory tells what can't be; the text says why, for people.
    Impossible(&'static str),
}

/// What was loaded, under locks, for a batch; what the batch makes of it.
#[derive(Debug, Default)]
pub struct Ledger {
    orders: BTreeMap<OrderId, Order>,
    by_request: BTreeMap<(CustomerId, RequestId), OrderId>,
    /// Orders whose rows this batch has inserted, and that no command has placed yet.
    claimed: BTreeSet<OrderId>,
    moved: BTreeSet<OrderId>,
    settled: BTreeSet<OrderId>,
}

impl Ledger {
    /// Adds an order as the database has it.
    pub fn load(&mut self, order: Order) {
        if let Some(request_id) = order.request_id.clone() {
            self.by_request.insert((order.customer_id.clone(), request_id), order.order_id);
        }
        self.orders.insert(order.order_id, order);
    }

    /// Adds an order whose row this batch has inserted.
    pub fn claim(&mut self, order: Order) {
        self.claimed.insert(order.order_id);
        self.load(order);
    }

    /// Applies one command.
    pub fn apply(&mut self, command: &Command, now: OffsetDateTime) -> Outcome {
        match command {
            Command::Place(new) => self.place(new),
            Command::Happen { order_id, happening } => self.happen(*order_id, happening, now),
        }
    }

    /// Orders to write: the last state of each that moved after it was inserted (T2).
    pub fn moved(&self) -> impl Iterator<Item = &Order> {
        self.moved.iter().filter_map(|order_id| self.orders.get(order_id))
    }

    /// Orders that nothing more is to be done about.
    pub fn finished(&self) -> impl Iterator<Item = OrderId> {
        let decided = self.moved().filter(|order| match order.status {
            Status::Confirmed | Status::Rejected => true,
            Status::Pending | Status::Cancelled | Status::Fulfilled => false,
        });
        decided.map(|order| order.order_id).chain(self.settled.iter().copied())
    }

    /// Final orders that inventory has yet to confirm the end of (O4).
    pub fn unsettled(&self) -> impl Iterator<Item = OrderId> {
        let closed = self.moved().filter(|order| match order.status {
            Status::Cancelled | Status::Fulfilled => true,
            Status::Pending | Status::Confirmed | Status::Rejected => false,
        });
        closed.map(|order| order.order_id).filter(|order_id| !self.settled.contains(order_id))
    }

    fn place(&mut self, new: &NewOrder) -> Outcome {
        let by_request =
            new.request_id.clone().and_then(|request_id| self.by_request.get(&(new.customer_id.clone(), request_id)));
        let order_id = by_request.copied().unwrap_or(new.order_id);
        let Some(order) = self.orders.get(&order_id) else {
            // A placement is either inserted or found; neither happens only when its row was deleted by hand.
            return Outcome::NotFound;
        };
        if order.fingerprint != new.fingerprint {
            return Outcome::RequestIdReused;
        }
        let first_time = self.claimed.remove(&order_id);
        Outcome::Order {
            order: Box::new(order.clone()),
            transition: first_time.then_some(Transition { from: None, to: Status::Pending }),
            // The same order id is this very placement, submitted again because its commit was in doubt (T4).
            replayed: order_id != new.order_id,
        }
    }

    fn happen(&mut self, order_id: OrderId, happening: &Happening, now: OffsetDateTime) -> Outcome {
        // A row that this batch has inserted is no order before the command that places it: a move would take its version 1.
        let Some(order) = self.orders.get(&order_id).filter(|_| !self.claimed.contains(&order_id)) else {
            return Outcome::NotFound;
        };
        let from = order.status;
        match decide::decide(order, happening, now) {
            Decision::Move(next) => {
                let transition = Some(Transition { from: Some(from), to: next.status });
                self.moved.insert(order_id);
                self.orders.insert(order_id, (*next).clone());
                Outcome::Order { order: next, transition, replayed: false }
            }
            Decision::Keep => unchanged(order),
            Decision::Settled => {
                self.settled.insert(order_id);
                unchanged(order)
            }
            Decision::Forbidden => Outcome::Forbidden(Box::new(order.clone())),
            Decision::Impossible(why) => Outcome::Impossible(why),
        }
    }
}

fn unchanged(order: &Order) -> Outcome {
    Outcome::Order { order: Box::new(order.clone()), transition: None, replayed: false }
}
