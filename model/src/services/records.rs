use std::time::Instant;

use inventory_svc::domain::ledger as stock_ledger;
use inventory_svc::domain::reservation::Closing;
use messaging::consumer::Handler as _;
use messaging::outbox::OutboxRecord;
use messaging::record::Record;
use observability::propagation::TraceHeaders;
use order_svc::domain::ledger as order_ledger;
use proto::events::v1 as events;
use proto::topics;

use super::inventory::is_old_news;
use super::{NOW, Services, order_id};
use crate::world::{Command, Number, Side};

/// Index of an order that nobody has placed.
pub(super) const STRANGER: u8 = 4;

/// An event as a row of an outbox and a record of a topic have it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event {
    /// Whose it is.
    pub side: Side,
    /// Of which order; garbage and dead letters are of none.
    pub id: Option<u8>,
    /// Of the order or reservation.
    pub version: u16,
    /// Full name of the message.
    pub event_type: String,
    value: Vec<u8>,
}

/// What a consumer makes of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// To be applied.
    Command(Command),
    /// Of no concern.
    Nothing,
    /// It can't be decoded.
    Poison,
}

impl Event {
    pub(super) fn new(side: Side, id: u8, version: u16, record: &OutboxRecord) -> Self {
        let value = record.value.clone().expect("an event has a value");
        Self { side, id: Some(id), version, event_type: record.event_type.clone(), value }
    }

    /// The last part of its type.
    #[must_use]
    pub fn name(&self) -> &str {
        self.event_type.rsplit('.').next().unwrap_or_default()
    }

    fn record(&self) -> Record {
        Record {
            topic: String::new(),
            partition: 0,
            offset: 0,
            key: None,
            value: Some(self.value.clone()),
            headers: vec![(proto::headers::CE_TYPE.to_owned(), Some(self.event_type.clone().into_bytes()))],
            received: Instant::now(),
            written: None,
        }
    }
}

impl Services {
    /// Records in the topic of `side` that nobody can process: one that can't be decoded, and one of what can't have
    /// happened, because there is no such order.
    pub fn garbage(&mut self, side: Side) -> [Number; 2] {
        let nothing = TraceHeaders::default();
        let stranger = order_id(STRANGER);
        let order_id = stranger.to_string();
        let (version, occur_time) = (3, None);
        let record = match side {
            Side::Orders => {
                let message = events::OrderFulfilled { order_id, customer_id: String::new(), version, occur_time };
                OutboxRecord::event(topics::ORDERS, stranger.uuid(), &message, NOW, nothing)
            }
            Side::Inventory => {
                let message = events::StockReleased { order_id, lines: Vec::new(), version, occur_time };
                OutboxRecord::event(topics::INVENTORY, stranger.uuid(), &message, NOW, nothing)
            }
        };
        let impossible = Event { id: None, ..Event::new(side, STRANGER, 0, &record) };
        let event_type = "garbage".to_owned();
        let undecodable = Event { side, id: None, version: 0, event_type, value: vec![0xff] };
        [undecodable, impossible].map(|event| self.events.number(event))
    }

    /// The dead letter of a record that `reader` gave up.
    pub fn dead_letter(&mut self, reader: Side) -> Number {
        let event_type = "dead letter".to_owned();
        self.events.number(Event { side: reader, id: None, version: 0, event_type, value: Vec::new() })
    }

    /// What its reader makes of an event.
    pub fn meaning(&mut self, number: Number) -> Meaning {
        if let Some(meaning) = self.meanings.get(&number) {
            return *meaning;
        }
        let event = self.event(number).clone();
        let meaning = match event.side {
            Side::Orders => self.meaning_to_inventory(&event.record()),
            Side::Inventory => self.meaning_to_orders(&event.record()),
        };
        self.meanings.insert(number, meaning);
        meaning
    }

    /// Whether a replica that remembers `memory` of the event's order takes it for old news.
    pub fn is_old_news(&mut self, number: Number, memory: u8) -> bool {
        if let Some(known) = self.old_news.get(&(number, memory)) {
            return *known;
        }
        let is_old_news = match self.meaning(number) {
            Meaning::Command(command @ (Command::Happen { .. } | Command::Place { .. })) => {
                self.is_old_news_to_orders(command, memory)
            }
            Meaning::Command(command @ (Command::Reserve { .. } | Command::Close { .. })) => {
                is_old_news(command, memory)
            }
            Meaning::Nothing => true,
            Meaning::Poison => false,
        };
        self.old_news.insert((number, memory), is_old_news);
        is_old_news
    }

    fn meaning_to_orders(&mut self, record: &Record) -> Meaning {
        match self.stock_events.decode(record) {
            Err(_) => Meaning::Poison,
            Ok(None) => Meaning::Nothing,
            Ok(Some(order_ledger::Command::Happen { order_id, happening })) => {
                Meaning::Command(Command::Happen { id: index(order_id), happening: self.happening(happening) })
            }
            Ok(Some(order_ledger::Command::Place(_))) => unreachable!("no event of inventory places an order"),
        }
    }

    fn meaning_to_inventory(&self, record: &Record) -> Meaning {
        match self.order_events.decode(record) {
            Err(_) => Meaning::Poison,
            Ok(None) => Meaning::Nothing,
            Ok(Some(stock_ledger::Command::Reserve { order_id, .. })) => {
                Meaning::Command(Command::Reserve { id: index(order_id) })
            }
            Ok(Some(stock_ledger::Command::Close { order_id, closing })) => {
                Meaning::Command(Command::Close { id: index(order_id), ship: closing == Closing::Ship })
            }
            Ok(Some(stock_ledger::Command::Import { .. })) => unreachable!("no event of an order imports stock"),
        }
    }
}

fn index(searched: proto::values::OrderId) -> u8 {
    (0..=STRANGER).find(|id| order_id(*id) == searched).expect("an event is about an order of this world")
}
