//! Commands, one after the other, on what was loaded for them.

use std::collections::{BTreeMap, BTreeSet};

use proto::values::{OrderId, Sku};
use time::OffsetDateTime;

use super::import::{self, AppliedRow, ChunkId, ImportRow, RowKey, RowRefusal};
use super::reservation::{Closing, Rejection, RequestedLine, Reservation, ReservedLine, Status};
use super::stock::{self, Movement, Stock};

/// What somebody wants of the inventory.
#[derive(Clone, Debug)]
pub enum Command {
    /// Hold the lines of an order, all or none.
    Reserve {
        /// Whose.
        order_id: OrderId,
        /// What, each SKU once.
        lines: Vec<RequestedLine>,
    },
    /// End what is held for an order.
    Close {
        /// Whose.
        order_id: OrderId,
        /// How.
        closing: Closing,
    },
    /// Apply rows of an import, each key once.
    ///
    /// A row whose key was applied before is [`RowOutcome::AlreadyApplied`], with one exception: it was this very chunk
    /// that applied it, and the row is the first with its key in the chunk. Then the chunk was submitted again because
    /// its commit was in doubt, and the row is told as [`RowOutcome::Applied`], as it would have been the first time. A
    /// call that brings a key twice, in one chunk or in two, is thus told of the second as of any other repetition: a
    /// later chunk has another id. Refused rows leave no trace, so a chunk that comes again decides them anew.
    Import {
        /// Of this command alone.
        chunk_id: ChunkId,
        /// At most a chunk of them.
        rows: Vec<ImportRow>,
    },
}

/// What became of a command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The reservation as it is now.
    Reservation {
        /// As it is now.
        reservation: Reservation,
        /// False: it was so before.
        changed: bool,
    },
    /// A Reserve came after its order was cancelled.
    OrderClosed,
    /// The order has reserved other lines before.
    Mismatch,
    /// There is nothing to ship.
    NotFound,
    /// The state machine forbids it.
    WrongState(Status),
    /// What became of each row, in order.
    Imported(Vec<RowOutcome>),
}

/// What became of a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowOutcome {
    /// It is in, by this command.
    Applied,
    /// It is in by another one, or by an earlier row of this one.
    AlreadyApplied,
    /// It is left out.
    Refused(RowRefusal),
}

/// What was loaded, under locks, for a batch; what the batch makes of it.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Stock of every SKU that the batch touches.
    pub stock: Stock,
    /// Reservation of every order that the batch touches.
    pub reservations: BTreeMap<OrderId, Reservation>,
    /// Rows of imports that were applied, those of this batch included.
    pub rows_applied: BTreeMap<RowKey, AppliedRow>,
    changed_stock: BTreeSet<Sku>,
    changed_reservations: BTreeSet<OrderId>,
}

impl Ledger {
    /// Applies one command. The table of the protocol, "inventory has →", cell by cell. An outcome with `changed` is a new
    /// version of the reservation, and so an event.
    pub fn apply(&mut self, command: &Command, now: OffsetDateTime) -> Outcome {
        match command {
            Command::Reserve { order_id, lines } => self.reserve(*order_id, lines, now),
            Command::Close { order_id, closing } => self.close(*order_id, *closing, now),
            Command::Import { chunk_id, rows } => self.import(*chunk_id, rows, now),
        }
    }

    /// Rows of stock to write: one net change for each (T2).
    pub fn changed_stock(&self) -> impl Iterator<Item = &stock::StockItem> {
        self.changed_stock.iter().filter_map(|sku| self.stock.get(sku))
    }

    /// Reservations to write: the last of each (T2).
    pub fn changed_reservations(&self) -> impl Iterator<Item = &Reservation> {
        self.changed_reservations.iter().filter_map(|order_id| self.reservations.get(order_id))
    }

    fn reserve(&mut self, order_id: OrderId, lines: &[RequestedLine], now: OffsetDateTime) -> Outcome {
        let Some(known) = self.reservations.get(&order_id) else {
            return self.decide(order_id, lines, now);
        };
        match known.status {
            Status::Released => Outcome::OrderClosed,
            Status::Held | Status::Shipped | Status::Rejected if known.was_asked_for(lines) => {
                Outcome::Reservation { reservation: known.clone(), changed: false }
            }
            Status::Held | Status::Shipped | Status::Rejected => Outcome::Mismatch,
        }
    }

    fn decide(&mut self, order_id: OrderId, lines: &[RequestedLine], now: OffsetDateTime) -> Outcome {
        let (status, lines, rejection) = match stock::plan(&self.stock, lines) {
            Ok(held) => {
                self.move_stock(&held, Movement::Hold, now);
                (Status::Held, held, None)
            }
            Err(rejection) => (Status::Rejected, unpriced(lines), Some::<Rejection>(rejection)),
        };
        let reservation =
            Reservation { order_id, status, version: 1, lines, rejection, create_time: now, update_time: now };
        self.put(reservation)
    }

    fn close(&mut self, order_id: OrderId, closing: Closing, now: OffsetDateTime) -> Outcome {
        let Some(known) = self.reservations.get(&order_id) else {
            return match closing {
                Closing::Release => self.put(Reservation::tombstone(order_id, now)),
                Closing::Ship => Outcome::NotFound,
            };
        };
        match (known.status, closing) {
            (Status::Held, _) => {
                let movement = match closing {
                    Closing::Release => Movement::Release,
                    Closing::Ship => Movement::Ship,
                };
                let (lines, closed) = (known.lines.clone(), known.closed(closing, now));
                self.move_stock(&lines, movement, now);
                self.put(closed)
            }
            (Status::Released | Status::Rejected, Closing::Release) | (Status::Shipped, Closing::Ship) => {
                Outcome::Reservation { reservation: known.clone(), changed: false }
            }
            (Status::Released | Status::Rejected, Closing::Ship) | (Status::Shipped, Closing::Release) => {
                Outcome::WrongState(known.status)
            }
        }
    }

    fn import(&mut self, chunk_id: ChunkId, rows: &[ImportRow], now: OffsetDateTime) -> Outcome {
        let mut keys = BTreeSet::new();
        let import = |row: &ImportRow| {
            let is_first = keys.insert(row.key());
            match self.rows_applied.get(&row.key()) {
                Some(applied) if applied.chunk_id == Some(chunk_id) && is_first => RowOutcome::Applied,
                Some(_) => RowOutcome::AlreadyApplied,
                None => self.import_row(chunk_id, row, now),
            }
        };
        Outcome::Imported(rows.iter().map(import).collect())
    }

    fn import_row(&mut self, chunk_id: ChunkId, row: &ImportRow, now: OffsetDateTime) -> RowOutcome {
        if let Err(refusal) = import::apply_row(&mut self.stock, row, now) {
            return RowOutcome::Refused(refusal);
        }
        self.changed_stock.insert(row.sku.clone());
        let applied = AppliedRow { chunk_id: Some(chunk_id), sku: row.sku.clone(), quantity: row.quantity };
        self.rows_applied.insert(row.key(), applied);
        RowOutcome::Applied
    }

    fn move_stock(&mut self, lines: &[ReservedLine], movement: Movement, now: OffsetDateTime) {
        stock::move_lines(&mut self.stock, lines, movement, now);
        self.changed_stock.extend(lines.iter().map(|line| line.sku.clone()));
    }

    fn put(&mut self, reservation: Reservation) -> Outcome {
        self.changed_reservations.insert(reservation.order_id);
        self.reservations.insert(reservation.order_id, reservation.clone());
        Outcome::Reservation { reservation, changed: true }
    }
}

fn unpriced(lines: &[RequestedLine]) -> Vec<ReservedLine> {
    lines.iter().map(|line| ReservedLine { sku: line.sku.clone(), quantity: line.quantity, unit_price: None }).collect()
}
