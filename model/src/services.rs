//! The real code of both services, behind numbers.
//!
//! A transaction of the model loads a ledger, applies one command and keeps what the ledger says that has changed, as the
//! stores do; the event that follows is encoded, and later decoded by the other service's handler. All of this is pure, so
//! each transaction is computed once for each state of its rows and remembered: the states are millions, the rows few.

mod inventory;
mod numbers;
mod orders;
mod records;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use inventory_svc::domain::reservation::Reservation;
use inventory_svc::domain::stock::StockItem;
use inventory_svc::events::OrderEvents;
use inventory_svc::store::StockStore;
use messaging::consumer::Verdict;
use messaging::relay::RelayWaker;
use order_svc::domain::decide::Happening;
use order_svc::domain::order::Order;
use order_svc::events::StockEvents;
use order_svc::news::News;
use order_svc::store::OrderStore;
use proto::values::OrderId;
use time::OffsetDateTime;
use uuid::Uuid;

use self::numbers::Numbers;
pub use self::records::{Event, Meaning};
use crate::world::{Answer, Command, Number, Side};

/// Every transaction's time: nothing here depends on it.
const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;
/// Long enough to take nothing for news.
const NEVER: Duration = Duration::from_secs(3_600);

/// What becomes of an order on the sweep's work list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listing {
    /// Put on it.
    On,
    /// Taken off it.
    Off,
    /// As it was.
    Kept,
}

/// What a transaction does.
#[derive(Clone, Debug)]
pub struct Written {
    /// The order or reservation afterwards.
    pub row: Number,
    /// The stock afterwards; of order-svc, nothing.
    pub stock: Number,
    /// The event that it commits.
    pub event: Number,
    /// The work list.
    pub listing: Listing,
    /// What a replica remembers of it that committed it; nothing is 0.
    pub memory: u8,
    /// What a call of inventory is answered.
    pub answer: Answer,
    /// What a consumer makes of it.
    pub verdict: Verdict,
}

/// Both services.
pub struct Services {
    orders: Numbers<Order>,
    reservations: Numbers<Reservation>,
    stock: Numbers<StockItem>,
    happenings: Numbers<Happening>,
    events: Numbers<Event>,
    meanings: HashMap<Number, Meaning>,
    written: HashMap<(Command, Number, Number), Written>,
    old_news: HashMap<(Number, u8), bool>,
    stock_events: StockEvents,
    order_events: OrderEvents,
}

impl Default for Services {
    fn default() -> Self {
        Self {
            orders: Numbers::default(),
            reservations: Numbers::default(),
            stock: Numbers::default(),
            happenings: Numbers::default(),
            events: Numbers::default(),
            meanings: HashMap::new(),
            written: HashMap::new(),
            old_news: HashMap::new(),
            stock_events: StockEvents::new(order_store()),
            order_events: OrderEvents::new(StockStore::new(RelayWaker::default())),
        }
    }
}

impl Services {
    /// What `command` does to an order or reservation, and to the stock.
    pub fn write(&mut self, command: Command, row: Number, stock: Number) -> Written {
        if let Some(written) = self.written.get(&(command, row, stock)) {
            return written.clone();
        }
        let written = match command.side() {
            Side::Orders => self.write_order(command, row),
            Side::Inventory => self.write_stock(command, row, stock),
        };
        self.written.insert((command, row, stock), written.clone());
        written
    }

    /// The order of that number.
    #[must_use]
    pub fn order(&self, number: Number) -> Option<&Order> {
        self.orders.get(number)
    }

    /// The reservation of that number.
    #[must_use]
    pub fn reservation(&self, number: Number) -> Option<&Reservation> {
        self.reservations.get(number)
    }

    /// The stock of that number.
    ///
    /// # Panics
    /// When there is none: a world has stock from the beginning.
    #[must_use]
    pub fn stock(&self, number: Number) -> &StockItem {
        self.stock.get(number).expect("a world has stock")
    }

    /// The event of that number.
    ///
    /// # Panics
    /// When there is none: numbers come from here.
    #[must_use]
    pub fn event(&self, number: Number) -> &Event {
        self.events.get(number).expect("an event has a number from here")
    }

    /// An event's name and order, for a history.
    #[must_use]
    pub fn words(&self, number: Number) -> String {
        let event = self.event(number);
        event.id.map_or_else(|| event.name().to_owned(), |id| format!("{} of order {id}", event.name()))
    }

    /// What happens to an order, for a history.
    #[must_use]
    pub fn happening_name(&self, number: Number) -> &'static str {
        match self.happenings.get(number) {
            Some(Happening::StockReserved(_)) => "that its stock is held",
            Some(Happening::StockRejected(_)) => "that its stock is rejected",
            Some(Happening::StockReleased) => "that its stock is released",
            Some(Happening::StockShipped) => "that its stock is shipped",
            Some(Happening::Cancel { .. } | Happening::Fulfill) | None => "what inventory does not say",
        }
    }

    /// The cells of the protocol's two tables that were met so far: what came, what it met, what became of it.
    #[must_use]
    pub fn cells(&self) -> BTreeSet<String> {
        let cell = |(&(command, row, _), written): (&(Command, Number, Number), &Written)| {
            let (came, met) = match command {
                Command::Place { .. } => return None,
                Command::Happen { happening, .. } => (
                    self.happenings.get(happening).map(|happening| first_word(&format!("{happening:?}"))),
                    self.order(row).map(|order| format!("{:?}", order.status)),
                ),
                Command::Reserve { .. } => (Some("Reserve".to_owned()), self.reservation_word(row)),
                Command::Close { ship: false, .. } => (Some("Release".to_owned()), self.reservation_word(row)),
                Command::Close { ship: true, .. } => (Some("Ship".to_owned()), self.reservation_word(row)),
            };
            let is_request = came.as_deref().is_some_and(|came| came == "Cancel" || came == "Fulfill");
            let became = match &written.verdict {
                Verdict::Applied => "applied",
                Verdict::Ignored if written.listing == Listing::Off => "settled",
                Verdict::Ignored => "ignored",
                Verdict::Impossible(_) if is_request => "refused",
                Verdict::Impossible(_) => "impossible",
            };
            if command.id() == records::STRANGER {
                return None;
            }
            Some(format!("{} meets {}: {became}", came?, met.as_deref().unwrap_or("nothing")))
        };
        self.written.iter().filter_map(cell).collect()
    }

    fn reservation_word(&self, row: Number) -> Option<String> {
        self.reservation(row).map(|known| format!("{:?}", known.status))
    }

    /// The number of a happening.
    pub fn happening(&mut self, happening: Happening) -> Number {
        self.happenings.number(happening)
    }
}

fn first_word(text: &str) -> String {
    text.split([' ', '(']).next().unwrap_or_default().to_owned()
}

/// The id of that index.
fn order_id(index: u8) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(u128::from(index) + 1))
}

fn order_store() -> OrderStore {
    OrderStore::new(RelayWaker::default(), Arc::new(News::default()), NEVER)
}
