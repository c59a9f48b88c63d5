//! What inventory holds for an order.

use proto::values::{Money, OrderId, Quantity, Sku};
use time::OffsetDateTime;

/// A line as an order asks for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RequestedLine {
    /// What.
    pub sku: Sku,
    /// How much.
    pub quantity: Quantity,
}

/// A line of a reservation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReservedLine {
    /// What.
    pub sku: Sku,
    /// How much.
    pub quantity: Quantity,
    /// What the order is charged for one; none in a rejected reservation.
    pub unit_price: Option<Money>,
}

/// Where a reservation stands. Numbers as in `inventory.v1.ReservationStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// Stock is held.
    Held,
    /// Final: given back. Without lines: the order was cancelled before anything was held (a tombstone).
    Released,
    /// Final: taken out.
    Shipped,
    /// Final: nothing could be held.
    Rejected,
}

/// Why nothing could be held.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RejectionReason {
    /// Fewer available than asked for.
    OutOfStock,
    /// A line names no known SKU.
    UnknownSku,
    /// The lines are priced in more than one currency.
    MixedCurrency,
    /// The total is more than the platform counts.
    AmountTooLarge,
}

impl RejectionReason {
    /// The contract's code.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OutOfStock => proto::reasons::OUT_OF_STOCK,
            Self::UnknownSku => proto::reasons::UNKNOWN_SKU,
            Self::MixedCurrency => proto::reasons::MIXED_CURRENCY,
            Self::AmountTooLarge => proto::reasons::AMOUNT_TOO_LARGE,
        }
    }

    /// The reason of that code.
    #[must_use]
    pub fn from_code(code: &str) -> Option<Self> {
        [Self::OutOfStock, Self::UnknownSku, Self::MixedCurrency, Self::AmountTooLarge]
            .into_iter()
            .find(|reason| reason.as_str() == code)
    }
}

/// What was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of what.
    pub sku: Sku,
    /// Units asked for.
    pub requested: u32,
    /// Units available at the moment of the decision; 0 for an unknown SKU.
    pub available: i64,
}

/// Why nothing could be held, and what was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Why.
    pub reason: RejectionReason,
    /// Empty unless something was missing.
    pub shortages: Vec<Shortage>,
}

/// What inventory holds, held or could not hold for an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reservation {
    /// Whose.
    pub order_id: OrderId,
    /// Where it stands.
    pub status: Status,
    /// 1 at the decision, 2 once released or shipped. Each version has one event.
    pub version: u16,
    /// As asked for; with prices once held.
    pub lines: Vec<ReservedLine>,
    /// Set when rejected.
    pub rejection: Option<Rejection>,
    /// When it was decided.
    pub create_time: OffsetDateTime,
    /// When it last changed.
    pub update_time: OffsetDateTime,
}

/// How a reservation ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The order was cancelled: give the stock back.
    Release,
    /// The order was fulfilled: take the stock out.
    Ship,
}

impl Reservation {
    /// Whether `lines` are what this reservation was asked for, in any order.
    #[must_use]
    pub fn was_asked_for(&self, lines: &[RequestedLine]) -> bool {
        let mut mine: Vec<_> = self.lines.iter().map(|line| (&line.sku, line.quantity)).collect();
        let mut theirs: Vec<_> = lines.iter().map(|line| (&line.sku, line.quantity)).collect();
        mine.sort_unstable();
        theirs.sort_unstable();
        mine == theirs
    }

    /// The same reservation, ended.
    #[must_use]
    pub fn closed(&self, closing: Closing, now: OffsetDateTime) -> Self {
        let status = match closing {
            Closing::Release => Status::Released,
            Closing::Ship => Status::Shipped,
        };
        Self { status, version: self.version + 1, update_time: now, ..self.clone() }
    }

    /// What is left of an order that was cancelled before anything was held: it answers a late Reserve.
    #[must_use]
    pub fn tombstone(order_id: OrderId, now: OffsetDateTime) -> Self {
        Self {
            order_id,
            status: Status::Released,
            version: 1,
            lines: Vec::new(),
            rejection: None,
            create_time: now,
            update_time: now,
        }
    }
}
