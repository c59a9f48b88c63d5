//! What can happen next, in words for a history.

use std::fmt;

use crate::scenario::Fault;
use crate::world::Side;

/// A call of PlaceOrder: an order's first attempt, or its repetition at the other replica.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Call {
    /// Which order.
    pub request: u8,
    /// 0, or 1 for the repetition.
    pub attempt: u8,
}

impl Call {
    /// Index of the order id that it draws.
    #[must_use]
    pub fn id(self) -> u8 {
        self.request * 2 + self.attempt
    }

    /// The replica that it calls, and whose call of inventory goes to the replica of the same number.
    #[must_use]
    pub fn replica(self) -> u8 {
        (self.request + self.attempt) % 2
    }
}

impl fmt::Display for Call {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let what = if self.attempt == 0 { "call" } else { "repetition" };
        write!(formatter, "{what} {} (order-svc {})", self.request, self.replica())
    }
}

/// Whether a step has to come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It comes sooner or later, unless another one makes it impossible.
    Expected,
    /// It may never come.
    Optional,
    /// It is a fault.
    Fault(Fault),
}

/// A step.
#[derive(Clone, Debug)]
pub struct Step {
    /// What happens.
    pub what: String,
    /// Whether it has to.
    pub kind: Kind,
}

impl fmt::Display for Step {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.kind {
            Kind::Expected | Kind::Optional => formatter.write_str(&self.what),
            Kind::Fault(fault) => write!(formatter, "{} [{fault:?}]", self.what),
        }
    }
}

/// A service's name.
#[must_use]
pub fn name(side: Side) -> &'static str {
    match side {
        Side::Orders => "order-svc",
        Side::Inventory => "inventory-svc",
    }
}
