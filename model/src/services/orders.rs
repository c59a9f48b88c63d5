use messaging::consumer::Standing;
use observability::propagation::TraceHeaders;
use order_svc::domain::decide::{self, Happening, NewOrder};
use order_svc::domain::ledger::{self, Ledger, Outcome, Transition};
use order_svc::domain::order::{Rejection, Status};
use order_svc::events::verdict;
use order_svc::store::events::event_of;
use order_svc::store::{OrderStore, Written as Stored};
use postgres::Batch as _;
use proto::values::{CustomerId, Quantity, RequestId, Sku};

use super::records::Event;
use super::{Listing, NOW, Services, Written, order_id, order_store};
use crate::world::{Answer, Command, NONE, Number, Side};

/// What a replica of order-svc remembers of an order.
const CONFIRMED: u8 = 1;
const REJECTED: u8 = 2;

/// The only SKU.
pub(super) fn sku() -> Sku {
    Sku::parse("last-one").expect("it is a SKU")
}

pub(super) fn quantity() -> Quantity {
    Quantity::parse(1).expect("it is a quantity")
}

/// The order that a request asks for, under the id that one attempt draws. Ids 2 n and 2 n + 1 are of request n.
fn new_order(id: u8) -> NewOrder {
    let request = id / 2;
    NewOrder {
        order_id: order_id(id),
        customer_id: CustomerId::parse("ada").expect("it is a customer id"),
        request_id: Some(RequestId::parse(&format!("request {request}")).expect("it is a request id")),
        fingerprint: [request; 32],
        lines: vec![(sku(), quantity())],
    }
}

impl Services {
    /// `row`: of a placement, the order that has its request key, if there is one.
    pub(super) fn write_order(&mut self, command: Command, row: Number) -> Written {
        let mut ledger = Ledger::default();
        let is_new = row == NONE && matches!(command, Command::Place { .. });
        match (self.orders.get(row), command) {
            (Some(order), _) => ledger.load(order.clone()),
            (None, Command::Place { id }) => ledger.claim(decide::place(&new_order(id), NOW)),
            (None, _) => {}
        }
        let outcome = ledger.apply(&self.order_command(command), NOW);
        let order_id = order_id(command.id());
        let event = event_of(&outcome, &TraceHeaders::default());
        let listing = if is_new || ledger.unsettled().any(|unsettled| unsettled == order_id) {
            Listing::On
        } else if ledger.finished().any(|finished| finished == order_id) {
            Listing::Off
        } else {
            Listing::Kept
        };
        let (verdict, memory) = (self::verdict(&outcome), memory_of(&outcome, command.id()));
        let changed = ledger.moved().next().cloned().or(is_new.then(|| decide::place(&new_order(command.id()), NOW)));
        let version = changed.as_ref().map_or(0, |order| order.version);
        Written {
            row: changed.map_or(row, |order| self.orders.number(order)),
            stock: NONE,
            event: event
                .map_or(NONE, |event| self.events.number(Event::new(Side::Orders, command.id(), version, &event))),
            listing,
            memory,
            answer: Answer::Refused,
            verdict,
        }
    }

    fn order_command(&self, command: Command) -> ledger::Command {
        match command {
            Command::Place { id } => ledger::Command::Place(new_order(id)),
            Command::Happen { id, happening } => {
                let happening = self.happenings.get(happening).expect("a happening has a number from here").clone();
                ledger::Command::Happen { order_id: order_id(id), happening }
            }
            Command::Reserve { .. } | Command::Close { .. } => unreachable!("it is inventory's"),
        }
    }

    /// Whether a replica that remembers `memory` of an order takes this for old news of it.
    pub(super) fn is_old_news_to_orders(&self, command: Command, memory: u8) -> bool {
        let store = order_store();
        let status = match memory {
            CONFIRMED => Some(Status::Confirmed),
            REJECTED => Some(Status::Rejected),
            _ => None,
        };
        if let Some(to) = status {
            let order = Box::new(decide::place(&new_order(command.id()), NOW));
            let transition = Some(Transition { from: Some(Status::Pending), to });
            let outcome = Outcome::Order { order, transition, replayed: false };
            store.committed(&[Stored { outcome, placement: TraceHeaders::default() }]);
        }
        store.standing(&self.order_command(command)) == Standing::OldNews
    }
}

/// What a replica that has committed this remembers, as far as anybody can see.
fn memory_of(outcome: &Outcome, id: u8) -> u8 {
    let store = order_store();
    store.committed(&[Stored { outcome: outcome.clone(), placement: TraceHeaders::default() }]);
    let knows = |store: &OrderStore, happening| {
        store.standing(&ledger::Command::Happen { order_id: order_id(id), happening }) == Standing::OldNews
    };
    let rejection = Rejection { reason: String::new(), shortages: Vec::new() };
    if knows(&store, Happening::StockReserved(Vec::new())) {
        CONFIRMED
    } else if knows(&store, Happening::StockRejected(rejection)) {
        REJECTED
    } else {
        0
    }
}
