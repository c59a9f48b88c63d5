//! The state machine, and what inventory's news mean to an order: the table "order is →" of the protocol.

use proto::reasons;
use proto::values::{CustomerId, Money, OrderId, Quantity, RequestId, Sku};
use time::OffsetDateTime;

use super::order::{Cancellation, Order, OrderLine, Rejection, Status};

/// An order to be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewOrder {
    /// UUIDv7, drawn by the service.
    pub order_id: OrderId,
    /// Who orders.
    pub customer_id: CustomerId,
    /// The client's idempotency key.
    pub request_id: Option<RequestId>,
    /// SHA-256 of the canonical body.
    pub fingerprint: [u8; 32],
    /// What, each SKU once.
    pub lines: Vec<(Sku, Quantity)>,
}

/// A price that inventory holds a line at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Price {
    /// Of what.
    pub sku: Sku,
    /// Of one.
    pub unit_price: Money,
}

/// What can happen to an order that exists.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Happening {
    /// Inventory holds its stock, at these prices.
    StockReserved(Vec<Price>),
    /// Inventory can't hold its stock.
    StockRejected(Rejection),
    /// Inventory has given its stock back.
    StockReleased,
    /// Inventory has taken its stock out.
    StockShipped,
    /// The customer withdraws it.
    Cancel {
        /// Free text.
        note: String,
    },
    /// It was shipped.
    Fulfill,
}

/// What follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// A new version: an event.
    Move(Box<Order>),
    /// Nothing: it is so already, or does not matter any more.
    Keep,
    /// Nothing, and nothing more is to come: inventory has heard of the end.
    Settled,
    /// A caller asks for what the state machine forbids.
    Forbidden,
    /// Inventory tells what can't be; the text says why, for people.
    Impossible(&'static str),
}

/// A new order, PENDING, version 1.
#[must_use]
pub fn place(new: &NewOrder, now: OffsetDateTime) -> Order {
    let line =
        |(sku, quantity): &(Sku, Quantity)| OrderLine { sku: sku.clone(), quantity: *quantity, unit_price: None };
    Order {
        order_id: new.order_id,
        customer_id: new.customer_id.clone(),
        request_id: new.request_id.clone(),
        fingerprint: new.fingerprint,
        lines: new.lines.iter().map(line).collect(),
        status: Status::Pending,
        version: 1,
        create_time: now,
        decide_time: None,
        close_time: None,
        total: None,
        rejection: None,
        cancellation: None,
    }
}

/// What happens to `order` when it meets `happening`. Pure, total, and the same however often it is asked (I5).
#[must_use]
pub fn decide(order: &Order, happening: &Happening, now: OffsetDateTime) -> Decision {
    match happening {
        Happening::StockReserved(prices) => stock_reserved(order, prices, now),
        Happening::StockRejected(rejection) => stock_rejected(order, rejection, now),
        Happening::StockReleased => match order.status {
            Status::Cancelled => Decision::Settled,
            Status::Rejected => Decision::Keep,
            Status::Pending | Status::Confirmed | Status::Fulfilled => {
                Decision::Impossible("stock was released for an order that is not cancelled")
            }
        },
        Happening::StockShipped => match order.status {
            Status::Fulfilled => Decision::Settled,
            Status::Pending | Status::Confirmed | Status::Cancelled | Status::Rejected => {
                Decision::Impossible("stock was shipped for an order that is not fulfilled")
            }
        },
        Happening::Cancel { note } => match order.status {
            Status::Pending | Status::Confirmed => {
                let reason = reasons::CUSTOMER_REQUEST.to_owned();
                let cancellation = Some(Cancellation { reason, note: note.clone() });
                let closed = Order { cancellation, close_time: Some(now), ..order.clone() };
                moved(closed, Status::Cancelled)
            }
            Status::Cancelled => Decision::Keep,
            Status::Rejected | Status::Fulfilled => Decision::Forbidden,
        },
        Happening::Fulfill => match order.status {
            Status::Confirmed => moved(Order { close_time: Some(now), ..order.clone() }, Status::Fulfilled),
            Status::Fulfilled => Decision::Keep,
            Status::Pending | Status::Rejected | Status::Cancelled => Decision::Forbidden,
        },
    }
}

fn stock_reserved(order: &Order, prices: &[Price], now: OffsetDateTime) -> Decision {
    match order.status {
        Status::Pending => match priced(order, prices) {
            Some((lines, total)) => {
                let confirmed = Order { lines, total: Some(total), decide_time: Some(now), ..order.clone() };
                moved(confirmed, Status::Confirmed)
            }
            None => Decision::Impossible("the reservation's lines or prices are not those of the order"),
        },
        // Confirmed by whoever came first; or cancelled meanwhile, of which inventory hears.
        Status::Confirmed | Status::Fulfilled | Status::Cancelled => Decision::Keep,
        Status::Rejected => Decision::Impossible("stock was reserved for an order that inventory had rejected"),
    }
}

fn stock_rejected(order: &Order, rejection: &Rejection, now: OffsetDateTime) -> Decision {
    match order.status {
        Status::Pending => {
            let rejected = Order { rejection: Some(rejection.clone()), decide_time: Some(now), ..order.clone() };
            moved(rejected, Status::Rejected)
        }
        Status::Rejected => Decision::Keep,
        // Nothing is held, so nothing has to be given back.
        Status::Cancelled => Decision::Settled,
        Status::Confirmed | Status::Fulfilled => {
            Decision::Impossible("stock was rejected for an order that inventory had reserved it for")
        }
    }
}

/// The order's lines with their prices, and the total; `None` when they do not fit together.
fn priced(order: &Order, prices: &[Price]) -> Option<(Vec<OrderLine>, Money)> {
    let currency = prices.first()?.unit_price.currency();
    let mut total = Money::zero(currency);
    let mut lines = Vec::with_capacity(order.lines.len());
    for line in &order.lines {
        let price = prices.iter().find(|price| price.sku == line.sku)?.unit_price;
        if price.currency() != currency {
            return None;
        }
        total = total.plus(price, line.quantity.get()).ok()?;
        lines.push(OrderLine { unit_price: Some(price), ..line.clone() });
    }
    Some((lines, total))
}

fn moved(order: Order, status: Status) -> Decision {
    let version = order.version + 1;
    Decision::Move(Box::new(Order { status, version, ..order }))
}
