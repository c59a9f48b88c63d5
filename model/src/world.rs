//! A state of the world: two databases, two topics, and what each process has in mind. Small and comparable, because there
//! are millions: what an order is exactly stands once in [`Services`](crate::services::Services), and here is its number.

mod queue;

pub use self::queue::Queue;

/// Order ids there may be: each of two attempts to place each of two orders draws one.
pub const IDS: usize = 4;
/// Replicas of each service.
pub const REPLICAS: usize = 2;

/// A service. Its events are in the topic of the same index, and the other service reads them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Side {
    /// order-svc.
    Orders,
    /// inventory-svc.
    Inventory,
}

impl Side {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Orders, Self::Inventory];

    /// Its place in an array.
    #[must_use]
    pub fn index(self) -> usize {
        self as usize
    }

    /// The service that reads its events.
    #[must_use]
    pub fn other(self) -> Self {
        match self {
            Self::Orders => Self::Inventory,
            Self::Inventory => Self::Orders,
        }
    }
}

/// The number of an order, a reservation, an event …; [`NONE`] is nothing.
pub type Number = u8;
/// Nothing.
pub const NONE: Number = 0;

/// A transaction, by what it does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Command {
    /// Place the order of a request, under this id.
    Place {
        /// Index of the order id.
        id: u8,
    },
    /// Something happens to an order.
    Happen {
        /// Index of the order id.
        id: u8,
        /// What.
        happening: Number,
    },
    /// Reserve the stock of an order.
    Reserve {
        /// Index of the order id.
        id: u8,
    },
    /// End the reservation of an order.
    Close {
        /// Index of the order id.
        id: u8,
        /// Shipped; otherwise released.
        ship: bool,
    },
}

impl Command {
    /// Whose transaction it is.
    #[must_use]
    pub fn side(self) -> Side {
        match self {
            Self::Place { .. } | Self::Happen { .. } => Side::Orders,
            Self::Reserve { .. } | Self::Close { .. } => Side::Inventory,
        }
    }

    /// Which order it is about.
    #[must_use]
    pub fn id(self) -> u8 {
        match self {
            Self::Place { id } | Self::Happen { id, .. } | Self::Reserve { id } | Self::Close { id, .. } => id,
        }
    }
}

/// What inventory answers to a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Answer {
    /// What it means to the order.
    Happening(Number),
    /// ORDER_CLOSED.
    Closed,
    /// An error.
    Refused,
}

/// How far a call of PlaceOrder is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Progress {
    /// Not begun.
    Idle,
    /// Its transaction has drawn an outbox id, and is not committed.
    Open,
    /// Its order is durable and PENDING, its Reserve on the way.
    Placed {
        /// The order.
        id: u8,
    },
    /// Inventory's answer is on the way.
    Answered {
        /// The order.
        id: u8,
        /// The answer.
        answer: Answer,
    },
    /// Nobody waits any more, but its Reserve may still arrive.
    Abandoned {
        /// The order.
        id: u8,
    },
    /// Over.
    Done,
}

/// How far the sweep is with an order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Sweep {
    /// With none.
    Idle,
    /// It has read it.
    Read {
        /// The order.
        id: u8,
        /// As it was.
        order: Number,
    },
    /// Inventory's answer is on the way.
    Answered {
        /// The order.
        id: u8,
        /// As it was.
        order: Number,
        /// The answer.
        answer: Answer,
    },
}

/// A consumer that is frozen with a record in hand.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Zombie {
    /// Which replica.
    pub replica: u8,
    /// Where it has read.
    pub partition: u8,
    /// What.
    pub event: Number,
    /// By how many records others have moved the position meanwhile; 2 is "2 or more".
    pub moved: u8,
}

/// A state.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct World {
    /// order-svc's table of orders.
    pub orders: [Number; IDS],
    /// Its `unfinished_orders`, a bit for each id.
    pub unfinished: u8,
    /// inventory-svc's reservations.
    pub reservations: [Number; IDS],
    /// Its only row of stock.
    pub stock: Number,
    /// Rows by id, one event each, with the marks of [`relay`](crate::rules::relay).
    pub outbox: [Queue; 2],
    /// Records from the stored position on, by topic and partition.
    pub topics: [[Queue; 2]; 2],

    /// Calls of PlaceOrder, by order and attempt.
    pub calls: [[Progress; 2]; 2],
    /// What each replica of order-svc remembers: two bits for each id.
    pub orders_remember: [u8; REPLICAS],
    /// What each replica of inventory-svc remembers: a bit for each id.
    pub inventory_remembers: [u8; REPLICAS],
    /// The sweep, in replica 0 of order-svc.
    pub sweep: Sweep,
    /// A command in doubt, and the replica that has it.
    pub in_doubt: Option<(Command, u8)>,
    /// Events that a frozen relay has in hand, by service.
    pub frozen_relay: [Queue; 2],
    /// Who reads each topic.
    pub readers: [u8; 2],
    /// Who believes to read it.
    pub zombies: [Option<Zombie>; 2],

    /// Order ids that the callers of each request were told, a bit for each attempt that drew one.
    pub told: [u8; 2],
    /// The highest version of each id that a topic has seen.
    pub published: [[u8; IDS]; 2],
    /// The versions of each id that were processed, a bit for each.
    pub processed: [[u8; IDS]; 2],
    /// Records that nobody can process.
    pub garbage: u8,
    /// Dead letters.
    pub dead_letters: u8,
    /// Faults that may still strike.
    pub faults_left: u8,
}
