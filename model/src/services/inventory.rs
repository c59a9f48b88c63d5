use inventory_svc::domain::ledger::{self, Ledger, Outcome};
use inventory_svc::domain::reservation::{Closing, RequestedLine, Reservation};
use inventory_svc::domain::stock::StockItem;
use inventory_svc::events::verdict;
use inventory_svc::store::StockStore;
use inventory_svc::store::events::event_of;
use messaging::consumer::Standing;
use messaging::relay::RelayWaker;
use observability::propagation::TraceHeaders;
use order_svc::domain::decide::{Happening, Price};
use order_svc::domain::order::{Rejection, Shortage};
use postgres::Batch as _;
use proto::values::{Currency, Money};

use super::orders::{quantity, sku};
use super::records::Event;
use super::{Listing, NOW, Services, Written, order_id};
use crate::world::{Answer, Command, NONE, Number, Side};

impl Services {
    /// The stock in the beginning: one unit.
    ///
    /// # Panics
    /// Never: its price is one.
    pub fn one_unit(&mut self) -> Number {
        let currency = Currency::parse("EUR").expect("it is a currency");
        self.stock.number(StockItem {
            sku: sku(),
            name: String::new(),
            unit_price: Money::from_parts(currency, 5, 0).expect("it is an amount"),
            on_hand: 1,
            reserved: 0,
            update_time: NOW,
        })
    }

    pub(super) fn write_stock(&mut self, command: Command, row: Number, stock: Number) -> Written {
        let mut ledger = Ledger::default();
        let id = command.id();
        ledger.stock.insert(sku(), self.stock(stock).clone());
        ledger.reservations.extend(self.reservations.get(row).map(|known| (known.order_id, known.clone())));
        let outcome = ledger.apply(&stock_command(command), NOW);
        let event = event_of(&outcome, &TraceHeaders::default());
        let changed = ledger.changed_reservations().next().cloned();
        let version = changed.as_ref().map_or(0, |reservation| reservation.version);
        let stock = ledger.changed_stock().next().cloned().map_or(stock, |item| self.stock.number(item));
        Written {
            row: changed.map_or(row, |reservation| self.reservations.number(reservation)),
            stock,
            event: event.map_or(NONE, |event| self.events.number(Event::new(Side::Inventory, id, version, &event))),
            listing: Listing::Kept,
            memory: memory_of(&outcome, id),
            answer: self.answer(&outcome),
            verdict: verdict(outcome),
        }
    }

    /// The answer to a call, as order-svc's client understands it.
    fn answer(&mut self, outcome: &Outcome) -> Answer {
        match outcome {
            Outcome::Reservation { reservation, .. } => Answer::Happening(self.happenings.number(told_of(reservation))),
            Outcome::OrderClosed => Answer::Closed,
            Outcome::Mismatch | Outcome::NotFound | Outcome::WrongState(_) | Outcome::Imported(_) => Answer::Refused,
        }
    }
}

/// Of an answer to Reserve. An answer to CloseReservation is not looked into.
fn told_of(reservation: &Reservation) -> Happening {
    let Some(rejection) = &reservation.rejection else {
        let price = |line: &inventory_svc::domain::reservation::ReservedLine| {
            Some(Price { sku: line.sku.clone(), unit_price: line.unit_price? })
        };
        return Happening::StockReserved(reservation.lines.iter().filter_map(price).collect());
    };
    let shortage = |shortage: &inventory_svc::domain::reservation::Shortage| Shortage {
        sku: shortage.sku.clone(),
        requested: shortage.requested,
        available: shortage.available,
    };
    let shortages = rejection.shortages.iter().map(shortage).collect();
    Happening::StockRejected(Rejection { reason: rejection.reason.as_str().to_owned(), shortages })
}

fn stock_command(command: Command) -> ledger::Command {
    match command {
        Command::Reserve { id } => {
            let lines = vec![RequestedLine { sku: sku(), quantity: quantity() }];
            ledger::Command::Reserve { order_id: order_id(id), lines }
        }
        Command::Close { id, ship } => {
            let closing = if ship { Closing::Ship } else { Closing::Release };
            ledger::Command::Close { order_id: order_id(id), closing }
        }
        Command::Place { .. } | Command::Happen { .. } => unreachable!("it is order-svc's"),
    }
}

/// Whether a replica that remembers `memory` of an order takes this for old news of it.
pub(super) fn is_old_news(command: Command, memory: u8) -> bool {
    let store = StockStore::new(RelayWaker::default());
    if memory != 0 {
        let reservation = Reservation::tombstone(order_id(command.id()), NOW);
        store.committed(&[Outcome::Reservation { reservation, changed: true }]);
    }
    store.standing(&stock_command(command)) == Standing::OldNews
}

/// What a replica whose writer has committed this remembers, as far as anybody can see.
fn memory_of(outcome: &Outcome, id: u8) -> u8 {
    let store = StockStore::new(RelayWaker::default());
    store.committed(std::slice::from_ref(outcome));
    u8::from(store.standing(&stock_command(Command::Reserve { id })) == Standing::OldNews)
}
