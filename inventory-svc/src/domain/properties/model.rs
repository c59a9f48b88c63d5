//! What inventory is to do, as plainly as it can be said: one command after the other, no batch, numbers that never
//! overflow. It shares with the code under test the types of what goes in and out, and nothing that decides.

use std::collections::{HashMap, HashSet};

use proto::values::{OrderId, Sku};
use time::OffsetDateTime;

use crate::domain::import::{AppliedRow, ChunkId, ImportRow, RowKey, RowRefusal};
use crate::domain::ledger::{Command, Outcome, RowOutcome};
use crate::domain::reservation::{
    Closing, Rejection, RejectionReason, RequestedLine, Reservation, ReservedLine, Shortage, Status,
};
use crate::domain::stock::{Stock, StockItem};

/// The highest total of an order, in billionths of a unit.
const HIGHEST_TOTAL: i128 = 1_000_000_000_000 * 1_000_000_000;
/// The most units of a SKU.
const MOST_ON_HAND: i128 = 1_000_000_000_000_000;

/// Everything there is.
pub(super) struct Model {
    items: HashMap<Sku, Item>,
    pub(super) reservations: HashMap<OrderId, Reservation>,
    pub(super) rows_applied: HashMap<RowKey, AppliedRow>,
}

struct Item {
    /// Name, price and time as they are shown; its quantities are not looked at.
    shown: StockItem,
    on_hand: i128,
    reserved: i128,
}

impl Model {
    pub(super) fn of(stock: &[StockItem]) -> Self {
        let item = |item: &StockItem| Item { shown: item.clone(), on_hand: item.on_hand.into(), reserved: 0 };
        let items = stock.iter().map(|shown| (shown.sku.clone(), item(shown))).collect();
        Self { items, reservations: HashMap::new(), rows_applied: HashMap::new() }
    }

    pub(super) fn stock(&self) -> Stock {
        let shown = |item: &Item| StockItem {
            on_hand: item.on_hand.try_into().unwrap(),
            reserved: item.reserved.try_into().unwrap(),
            ..item.shown.clone()
        };
        self.items.iter().map(|(sku, item)| (sku.clone(), shown(item))).collect()
    }

    pub(super) fn apply(&mut self, command: &Command, now: OffsetDateTime) -> Outcome {
        match command {
            Command::Reserve { order_id, lines } => self.reserve(*order_id, lines, now),
            Command::Close { order_id, closing } => self.close(*order_id, *closing, now),
            Command::Import { chunk_id, rows } => {
                let mut told = Vec::new();
                for (index, row) in rows.iter().enumerate() {
                    let comes_again = rows[..index].iter().any(|earlier| earlier.row == row.row);
                    told.push(self.import(*chunk_id, row, comes_again, now));
                }
                Outcome::Imported(told)
            }
        }
    }

    fn reserve(&mut self, order_id: OrderId, lines: &[RequestedLine], now: OffsetDateTime) -> Outcome {
        if let Some(known) = self.reservations.get(&order_id) {
            let mut first: Vec<_> = known.lines.iter().map(|line| (line.sku.as_str(), line.quantity.get())).collect();
            let mut again: Vec<_> = lines.iter().map(|line| (line.sku.as_str(), line.quantity.get())).collect();
            first.sort_unstable();
            again.sort_unstable();
            return match known.status {
                Status::Released => Outcome::OrderClosed,
                _ if first == again => Outcome::Reservation { reservation: known.clone(), changed: false },
                _ => Outcome::Mismatch,
            };
        }
        let rejection = self.rejection(lines);
        let mut reserved = Vec::new();
        for RequestedLine { sku, quantity } in lines {
            let mut unit_price = None;
            if rejection.is_none() {
                let item = self.items.get_mut(sku).unwrap();
                item.reserved += i128::from(quantity.get());
                item.shown.update_time = now;
                unit_price = Some(item.shown.unit_price);
            }
            reserved.push(ReservedLine { sku: sku.clone(), quantity: *quantity, unit_price });
        }
        let status = if rejection.is_none() { Status::Held } else { Status::Rejected };
        self.keep(Reservation {
            order_id,
            status,
            version: 1,
            lines: reserved,
            rejection,
            create_time: now,
            update_time: now,
        })
    }

    /// Why the lines can't be held, if they can't.
    fn rejection(&self, lines: &[RequestedLine]) -> Option<Rejection> {
        let available = |sku: &Sku| self.items.get(sku).map_or(0, |item| item.on_hand - item.reserved);
        let reject = |reason, missing: Vec<&RequestedLine>| {
            let shortage = |line: &RequestedLine| Shortage {
                sku: line.sku.clone(),
                requested: line.quantity.get(),
                available: available(&line.sku).try_into().unwrap(),
            };
            Some(Rejection { reason, shortages: missing.into_iter().map(shortage).collect() })
        };

        let unknown: Vec<_> = lines.iter().filter(|line| !self.items.contains_key(&line.sku)).collect();
        if !unknown.is_empty() {
            return reject(RejectionReason::UnknownSku, unknown);
        }
        let mut currencies = HashSet::new();
        let mut total = 0;
        let mut wanted: HashMap<&Sku, i128> = HashMap::new();
        for line in lines {
            let (price, quantity) = (self.items[&line.sku].shown.unit_price, i128::from(line.quantity.get()));
            currencies.insert(price.currency());
            total += quantity * (i128::from(price.units()) * 1_000_000_000 + i128::from(price.nanos()));
            *wanted.entry(&line.sku).or_default() += quantity;
        }
        if currencies.len() > 1 {
            return reject(RejectionReason::MixedCurrency, Vec::new());
        }
        if total > HIGHEST_TOTAL {
            return reject(RejectionReason::AmountTooLarge, Vec::new());
        }
        let missing: Vec<_> = lines.iter().filter(|line| wanted[&line.sku] > available(&line.sku)).collect();
        if missing.is_empty() { None } else { reject(RejectionReason::OutOfStock, missing) }
    }

    fn close(&mut self, order_id: OrderId, closing: Closing, now: OffsetDateTime) -> Outcome {
        let Some(mut reservation) = self.reservations.get(&order_id).cloned() else {
            if closing == Closing::Ship {
                return Outcome::NotFound;
            }
            let (status, lines) = (Status::Released, Vec::new());
            let (create_time, update_time) = (now, now);
            return self.keep(Reservation {
                order_id,
                status,
                version: 1,
                lines,
                rejection: None,
                create_time,
                update_time,
            });
        };
        let end = if closing == Closing::Release { Status::Released } else { Status::Shipped };
        if reservation.status == end || (reservation.status == Status::Rejected && closing == Closing::Release) {
            return Outcome::Reservation { reservation, changed: false };
        }
        if reservation.status != Status::Held {
            return Outcome::WrongState(reservation.status);
        }
        for line in &reservation.lines {
            let item = self.items.get_mut(&line.sku).unwrap();
            item.reserved -= i128::from(line.quantity.get());
            if closing == Closing::Ship {
                item.on_hand -= i128::from(line.quantity.get());
            }
            item.shown.update_time = now;
        }
        reservation.status = end;
        reservation.version = 2;
        reservation.update_time = now;
        self.keep(reservation)
    }

    fn import(&mut self, chunk_id: ChunkId, row: &ImportRow, comes_again: bool, now: OffsetDateTime) -> RowOutcome {
        let key = (row.import_id.clone(), row.row);
        if let Some(applied) = self.rows_applied.get(&key) {
            let by_this_very_chunk = applied.chunk_id == Some(chunk_id);
            return if by_this_very_chunk && !comes_again { RowOutcome::Applied } else { RowOutcome::AlreadyApplied };
        }
        let known = self.items.get(&row.sku);
        if known.is_none() && row.unit_price.is_none() {
            return RowOutcome::Refused(RowRefusal::NewSkuWithoutPrice);
        }
        let (on_hand, reserved) = known.map_or((0, 0), |item| (item.on_hand, item.reserved));
        let on_hand = on_hand + i128::from(row.quantity);
        if on_hand > MOST_ON_HAND {
            return RowOutcome::Refused(RowRefusal::TooMany);
        }
        if on_hand < reserved {
            return RowOutcome::Refused(RowRefusal::BelowReserved);
        }
        let (name, unit_price) = match known {
            Some(item) => (item.shown.name.clone(), item.shown.unit_price),
            None => (row.sku.to_string(), row.unit_price.unwrap()),
        };
        let shown = StockItem {
            sku: row.sku.clone(),
            name: row.name.clone().unwrap_or(name),
            unit_price: row.unit_price.unwrap_or(unit_price),
            on_hand: 0,
            reserved: 0,
            update_time: now,
        };
        self.items.insert(row.sku.clone(), Item { shown, on_hand, reserved });
        let applied = AppliedRow { chunk_id: Some(chunk_id), sku: row.sku.clone(), quantity: row.quantity };
        self.rows_applied.insert(key, applied);
        RowOutcome::Applied
    }

    fn keep(&mut self, reservation: Reservation) -> Outcome {
        self.reservations.insert(reservation.order_id, reservation.clone());
        Outcome::Reservation { reservation, changed: true }
    }
}
