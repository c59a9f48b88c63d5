//! What orders are to do, as plainly as it can be said: one command after the other, by the table of the protocol as it is
//! written there. It shares with the code under test the types of what goes in and out, and nothing that decides.

use std::collections::{HashMap, HashSet};

use proto::values::{Currency, CustomerId, Money, OrderId, RequestId};
use time::OffsetDateTime;

use crate::domain::decide::{Happening, NewOrder, Price};
use crate::domain::ledger::{Command, Outcome, Transition};
use crate::domain::order::{Cancellation, Order, OrderLine, Status};

const TABLE: &str = "
    order is →    | PENDING     | CONFIRMED   | FULFILLED   | CANCELLED   | REJECTED
    StockReserved | confirm     | –           | –           | –           | dead letter
    StockRejected | reject      | dead letter | dead letter | settled     | –
    StockReleased | dead letter | dead letter | dead letter | settled     | –
    StockShipped  | dead letter | dead letter | settled     | dead letter | dead letter
    CancelOrder   | cancel      | cancel      | forbidden   | –           | forbidden
    FulfillOrder  | forbidden   | fulfil      | –           | forbidden   | forbidden
";

/// The highest total of an order, in billionths of a unit.
const HIGHEST_TOTAL: i128 = 1_000_000_000_000 * 1_000_000_000;

/// Everything there is.
#[derive(Default)]
pub(super) struct Model {
    /// Every version of each order, from the first.
    pub(super) versions: HashMap<OrderId, Vec<Order>>,
    /// Orders that somebody has to go on with.
    pub(super) unfinished: HashSet<OrderId>,
    keys: HashMap<(CustomerId, RequestId), OrderId>,
}

/// An outcome without the text that is for people.
pub(super) fn without_words(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Impossible(_) => Outcome::Impossible(""),
        other => other,
    }
}

impl Model {
    pub(super) fn apply(&mut self, command: &Command, now: OffsetDateTime) -> Outcome {
        match command {
            Command::Place(new) => self.place(new, now),
            Command::Happen { order_id, happening } => self.happen(*order_id, happening, now),
        }
    }

    fn place(&mut self, new: &NewOrder, now: OffsetDateTime) -> Outcome {
        let key = new.request_id.clone().map(|request_id| (new.customer_id.clone(), request_id));
        let order_id = key.as_ref().and_then(|key| self.keys.get(key)).copied().unwrap_or(new.order_id);
        if let Some(order) = self.versions.get(&order_id).and_then(|versions| versions.last()) {
            if order.fingerprint != new.fingerprint {
                return Outcome::RequestIdReused;
            }
            let (order, replayed) = (Box::new(order.clone()), order_id != new.order_id);
            return Outcome::Order { order, transition: None, replayed };
        }
        self.keys.extend(key.map(|key| (key, order_id)));
        let order = Order {
            order_id,
            customer_id: new.customer_id.clone(),
            request_id: new.request_id.clone(),
            fingerprint: new.fingerprint,
            lines: new
                .lines
                .iter()
                .map(|(sku, quantity)| OrderLine { sku: sku.clone(), quantity: *quantity, unit_price: None })
                .collect(),
            status: Status::Pending,
            version: 1,
            create_time: now,
            decide_time: None,
            close_time: None,
            total: None,
            rejection: None,
            cancellation: None,
        };
        self.unfinished.insert(order_id);
        self.keep(order, None)
    }

    fn happen(&mut self, order_id: OrderId, happening: &Happening, now: OffsetDateTime) -> Outcome {
        let Some(before) = self.versions.get(&order_id).and_then(|versions| versions.last()).cloned() else {
            return Outcome::NotFound;
        };
        let mut order = before.clone();
        match cell(happening, before.status) {
            "confirm" => {
                let Happening::StockReserved(prices) = happening else { unreachable!() };
                let Some(total) = price(&mut order, prices) else { return Outcome::Impossible("") };
                order.total = Some(total);
                order.decide_time = Some(now);
                order.status = Status::Confirmed;
                self.unfinished.remove(&order_id);
            }
            "reject" => {
                let Happening::StockRejected(rejection) = happening else { unreachable!() };
                order.rejection = Some(rejection.clone());
                order.decide_time = Some(now);
                order.status = Status::Rejected;
                self.unfinished.remove(&order_id);
            }
            "cancel" => {
                let Happening::Cancel { note } = happening else { unreachable!() };
                order.cancellation = Some(Cancellation { reason: "CUSTOMER_REQUEST".to_owned(), note: note.clone() });
                order.close_time = Some(now);
                order.status = Status::Cancelled;
                self.unfinished.insert(order_id);
            }
            "fulfil" => {
                order.close_time = Some(now);
                order.status = Status::Fulfilled;
                self.unfinished.insert(order_id);
            }
            "–" => return Outcome::Order { order: Box::new(order), transition: None, replayed: false },
            "settled" => {
                self.unfinished.remove(&order_id);
                return Outcome::Order { order: Box::new(order), transition: None, replayed: false };
            }
            "forbidden" => return Outcome::Forbidden(Box::new(order)),
            "dead letter" => return Outcome::Impossible(""),
            other => panic!("the table says {other:?}"),
        }
        order.version += 1;
        self.keep(order, Some(before.status))
    }

    fn keep(&mut self, order: Order, from: Option<Status>) -> Outcome {
        self.versions.entry(order.order_id).or_default().push(order.clone());
        let transition = Some(Transition { from, to: order.status });
        Outcome::Order { order: Box::new(order), transition, replayed: false }
    }
}

/// What the table says.
fn cell(happening: &Happening, status: Status) -> &'static str {
    let row = match happening {
        Happening::StockReserved(_) => "StockReserved",
        Happening::StockRejected(_) => "StockRejected",
        Happening::StockReleased => "StockReleased",
        Happening::StockShipped => "StockShipped",
        Happening::Cancel { .. } => "CancelOrder",
        Happening::Fulfill => "FulfillOrder",
    };
    let cells = |line: &'static str| line.split('|').map(str::trim);
    let mut lines = TABLE.trim().lines();
    let column = cells(lines.next().unwrap()).position(|name| name == status.label().to_uppercase());
    let line = lines.find(|line| cells(line).next() == Some(row));
    cells(line.unwrap()).nth(column.unwrap()).unwrap()
}

/// Gives every line its price; the total, unless a price is missing, there are two currencies, or it is too much.
fn price(order: &mut Order, prices: &[Price]) -> Option<Money> {
    let mut sum = 0;
    let mut currencies: HashSet<Currency> = HashSet::new();
    for line in &mut order.lines {
        let price = prices.iter().find(|price| price.sku == line.sku)?.unit_price;
        line.unit_price = Some(price);
        currencies.insert(price.currency());
        let billionths = i128::from(price.units()) * 1_000_000_000 + i128::from(price.nanos());
        sum += billionths * i128::from(line.quantity.get());
    }
    if currencies.len() != 1 || sum > HIGHEST_TOTAL {
        return None;
    }
    let (units, nanos) = (sum / 1_000_000_000, sum % 1_000_000_000);
    Money::from_parts(currencies.into_iter().next()?, units.try_into().unwrap(), nanos.try_into().unwrap())
}
