//! Small random worlds: so small that commands meet each other all the time.

use proptest::collection::vec;
use proptest::prelude::*;
use proto::values::{Currency, ImportId, Money, OrderId, Quantity, Sku};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::import::{ChunkId, ImportRow};
use crate::domain::ledger::Command;
use crate::domain::reservation::{Closing, RequestedLine};
use crate::domain::stock::StockItem;

/// The last one is not in stock at first.
const SKUS: [&str; 5] = ["a", "b", "c", "d", "e"];

/// 10,000 of the fourth are the highest total, so are 1,000 of the fifth. One is in another currency.
const PRICES: [(&str, i64, i32); 6] = [
    ("EUR", 0, 10_000_000),
    ("EUR", 19, 990_000_000),
    ("USD", 5, 0),
    ("EUR", 100_000_000, 0),
    ("EUR", 1_000_000_000, 0),
    ("EUR", 0, 0),
];

/// What there is, and what happens to it.
#[derive(Clone, Debug)]
pub(super) struct World {
    pub(super) stock: Vec<StockItem>,
    pub(super) commands: Vec<Command>,
    /// Whether a command is the first of a batch.
    pub(super) begins_batch: Vec<bool>,
}

/// A command, before it is known what its numbers mean: which kind, which order, which of the lines or rows.
type Draft = (u8, u8, usize, bool);

/// Commands draw on few lists of lines and few rows, so that they are repeated and contradict each other.
pub(super) fn worlds() -> impl Strategy<Value = World> {
    let draft = (0..12_u8, 1..=4_u8, 0..8_usize, any::<bool>());
    (vec(stocked(), SKUS.len() - 1), vec(lines(), 3), vec(row(), 4), vec(draft, 1..24)).prop_map(
        |(stocked, lines, rows, drafts): (Vec<_>, Vec<_>, Vec<_>, Vec<Draft>)| World {
            stock: stocked.into_iter().zip(SKUS).map(|((price, on_hand), name)| item(name, price, on_hand)).collect(),
            commands: drafts.iter().map(|draft| command(*draft, &lines, &rows)).collect(),
            begins_batch: drafts.iter().map(|(_, _, _, begins_batch)| *begins_batch).collect(),
        },
    )
}

/// Price and units.
fn stocked() -> impl Strategy<Value = (usize, i64)> {
    (0..PRICES.len(), prop_oneof![0..12_i64, Just(20_000)])
}

/// A SKU may stand in two lines here, which nobody lets through.
fn lines() -> impl Strategy<Value = Vec<RequestedLine>> {
    let units = prop_oneof![4 => 1..6_u32, 1 => 999..=1001_u32, 1 => Just(Quantity::MOST)];
    let line = (0..SKUS.len(), units)
        .prop_map(|(name, units)| RequestedLine { sku: sku(SKUS[name]), quantity: Quantity::parse(units).unwrap() });
    vec(line, 1..4)
}

/// Few numbers, so that rows are repeated, and one number means several rows.
fn row() -> impl Strategy<Value = ImportRow> {
    let quantity = prop_oneof![
        4 => -12..12_i64,
        1 => prop_oneof![Just(1_000_000_000_000_000), Just(-1_000_000_000_000_000), Just(i64::MAX), Just(i64::MIN)],
    ];
    (1..4_u64, 0..SKUS.len(), prop::option::of(0..PRICES.len()), quantity).prop_map(|(row, name, price, quantity)| {
        ImportRow {
            import_id: ImportId::parse("spring").unwrap(),
            row,
            sku: sku(SKUS[name]),
            name: (quantity % 2 == 0).then(|| format!("{quantity} more")),
            unit_price: price.map(money),
            quantity,
        }
    })
}

fn command((kind, order, which, _): Draft, lines: &[Vec<RequestedLine>], rows: &[ImportRow]) -> Command {
    let order_id = OrderId::from_uuid(Uuid::from_u128(order.into()));
    let lines = &lines[which % lines.len()];
    match kind {
        0..=4 => Command::Reserve { order_id, lines: lines.clone() },
        5 => Command::Reserve { order_id, lines: lines.iter().rev().cloned().collect() },
        6..=7 => Command::Close { order_id, closing: Closing::Release },
        8..=9 => Command::Close { order_id, closing: Closing::Ship },
        _ => {
            // What has the same rows in the same order is the same chunk, submitted again (T4).
            let (first, count) = (which % rows.len(), 1 + usize::from(order));
            let chunk_id = ChunkId::from_uuid(Uuid::from_u128((first * 10 + count) as u128));
            Command::Import { chunk_id, rows: rows.iter().cycle().skip(first).take(count).cloned().collect() }
        }
    }
}

fn item(name: &str, price: usize, on_hand: i64) -> StockItem {
    StockItem {
        sku: sku(name),
        name: name.to_owned(),
        unit_price: money(price),
        on_hand,
        reserved: 0,
        update_time: OffsetDateTime::UNIX_EPOCH,
    }
}

fn money(price: usize) -> Money {
    let (currency, units, nanos) = PRICES[price];
    Money::from_parts(Currency::parse(currency).unwrap(), units, nanos).unwrap()
}

fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}
