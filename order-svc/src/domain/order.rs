//! An order, and what it was at each of its versions.

use proto::values::{CustomerId, Money, OrderId, Quantity, RequestId, Sku};
use time::OffsetDateTime;

/// A line of an order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderLine {
    /// What.
    pub sku: Sku,
    /// How much.
    pub quantity: Quantity,
    /// The inventory's price of one at the moment of reservation; none until confirmed.
    pub unit_price: Option<Money>,
}

/// Where an order stands. Numbers as in `orders.v1.OrderStatus`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// Durable; its stock is not reserved yet.
    Pending,
    /// Stock is held for it.
    Confirmed,
    /// Final: stock could not be reserved.
    Rejected,
    /// Final: withdrawn.
    Cancelled,
    /// Final: shipped.
    Fulfilled,
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 5] = [Self::Pending, Self::Confirmed, Self::Rejected, Self::Cancelled, Self::Fulfilled];

    /// Whether nothing can follow.
    #[must_use]
    pub fn is_final(self) -> bool {
        match self {
            Self::Pending | Self::Confirmed => false,
            Self::Rejected | Self::Cancelled | Self::Fulfilled => true,
        }
    }

    /// In lower case, for labels of metrics.
    #[must_use]
    pub fn label(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Confirmed => "confirmed",
            Self::Rejected => "rejected",
            Self::Cancelled => "cancelled",
            Self::Fulfilled => "fulfilled",
        }
    }
}

/// What was missing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shortage {
    /// Of what.
    pub sku: Sku,
    /// Units asked for.
    pub requested: u32,
    /// Units available at the moment of the decision.
    pub available: i64,
}

/// Why stock could not be reserved, in the inventory's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Stable code of the contract.
    pub reason: String,
    /// Empty unless something was missing.
    pub shortages: Vec<Shortage>,
}

/// Why an order was withdrawn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cancellation {
    /// Stable code of the contract.
    pub reason: String,
    /// Free text; may be empty.
    pub note: String,
}

/// An order as it is now, with the times and reasons of every move, so that each earlier version can be told (O3).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Order {
    /// UUIDv7.
    pub order_id: OrderId,
    /// Who ordered.
    pub customer_id: CustomerId,
    /// The client's idempotency key.
    pub request_id: Option<RequestId>,
    /// SHA-256 of the canonical body of the placement.
    pub fingerprint: [u8; 32],
    /// In the order given.
    pub lines: Vec<OrderLine>,
    /// Where it stands.
    pub status: Status,
    /// 1 at placement, + 1 with every move.
    pub version: u16,
    /// When it was placed.
    pub create_time: OffsetDateTime,
    /// When it was confirmed or rejected.
    pub decide_time: Option<OffsetDateTime>,
    /// When it was cancelled or fulfilled.
    pub close_time: Option<OffsetDateTime>,
    /// Set once confirmed.
    pub total: Option<Money>,
    /// Set once rejected.
    pub rejection: Option<Rejection>,
    /// Set once cancelled.
    pub cancellation: Option<Cancellation>,
}

impl Order {
    /// When it last moved.
    #[must_use]
    pub fn update_time(&self) -> OffsetDateTime {
        self.close_time.or(self.decide_time).unwrap_or(self.create_time)
    }

    /// The order as it was at `version`; `None` when it never was.
    #[must_use]
    pub fn at_version(&self, version: u16) -> Option<Self> {
        if version == self.version {
            return Some(self.clone());
        }
        match version {
            1 => Some(self.as_placed()),
            2 if self.version == 3 => Some(self.as_confirmed()),
            _ => None,
        }
    }

    fn as_placed(&self) -> Self {
        let unpriced = self.lines.iter().map(|line| OrderLine { unit_price: None, ..line.clone() });
        Self {
            lines: unpriced.collect(),
            status: Status::Pending,
            version: 1,
            decide_time: None,
            close_time: None,
            total: None,
            rejection: None,
            cancellation: None,
            ..self.clone()
        }
    }

    /// Of three versions the second is CONFIRMED: a rejection is final.
    fn as_confirmed(&self) -> Self {
        Self { status: Status::Confirmed, version: 2, close_time: None, cancellation: None, ..self.clone() }
    }
}
