//! Random histories of a few orders: so few that commands meet each other all the time.

use proptest::collection::vec;
use proptest::prelude::*;
use proto::values::{Currency, CustomerId, Money, OrderId, Quantity, RequestId, Sku};
use uuid::Uuid;

use crate::domain::decide::{Happening, NewOrder, Price};
use crate::domain::ledger::Command;
use crate::domain::order::Rejection;

/// The bodies that are ordered.
const BODIES: [&[(&str, u32)]; 2] = [&[("a", 3), ("b", 1)], &[("b", 2), ("c", 10_000), ("a", 1)]];

/// Prices of a, b and c, of which a reservation tells those that were ordered. The second is the highest total of the
/// larger body, the third is beyond it, the fourth is in two currencies.
const PRICES: [[(&str, i64, i32); 3]; 4] = [
    [("EUR", 1, 500_000_000), ("EUR", 5, 0), ("EUR", 0, 999_999_999)],
    [("EUR", 0, 0), ("EUR", 0, 0), ("EUR", 100_000_000, 0)],
    [("EUR", 0, 1), ("EUR", 0, 0), ("EUR", 100_000_000, 0)],
    [("EUR", 1, 0), ("USD", 1, 0), ("EUR", 1, 0)],
];

/// What happens, in its order.
#[derive(Clone, Debug)]
pub(super) struct History {
    pub(super) commands: Vec<Command>,
    /// Sizes of batches.
    pub(super) batches: Vec<usize>,
}

/// A command, before it is known what its numbers mean: which kind, which order, and which of several ways.
type Draft = (u8, usize, u8);

/// Few placements, drawn again and again: one that is drawn twice was submitted again unchanged (T4), and two with the same
/// customer and request id are a repetition by the caller, with the same body or another. The last order is never placed.
pub(super) fn histories() -> impl Strategy<Value = History> {
    let placement = (0..2_usize, prop::option::of(0..2_usize), 0..BODIES.len());
    let draft = (0..16_u8, 0..4_usize, 0..8_u8);
    (vec(placement, 3), vec(draft, 1..24), vec(0..8_usize, 0..8)).prop_map(|(placements, drafts, batches)| {
        let placements: Vec<NewOrder> =
            (0..).zip(placements).map(|(order, placement)| new_order(order, placement)).collect();
        History { commands: drafts.into_iter().map(|draft| command(draft, &placements)).collect(), batches }
    })
}

fn new_order(order: usize, (customer, request, body): (usize, Option<usize>, usize)) -> NewOrder {
    let line = |(name, units): &(&str, u32)| (sku(name), Quantity::parse(*units).unwrap());
    NewOrder {
        order_id: order_id(order),
        customer_id: CustomerId::parse(["ada", "bob"][customer]).unwrap(),
        request_id: request.map(|request| RequestId::parse(["one", "two"][request]).unwrap()),
        fingerprint: [u8::try_from(body).unwrap(); 32],
        lines: BODIES[body].iter().map(line).collect(),
    }
}

fn command((kind, order, way): Draft, placements: &[NewOrder]) -> Command {
    let happening = match kind {
        0..=4 => return Command::Place(placements[order % placements.len()].clone()),
        5..=8 => Happening::StockReserved(prices(&placements[order % placements.len()], way)),
        9 => Happening::StockRejected(Rejection { reason: "OUT_OF_STOCK".to_owned(), shortages: Vec::new() }),
        10 => Happening::StockReleased,
        11 => Happening::StockShipped,
        12..=13 => Happening::Cancel { note: format!("for reason {way}") },
        _ => Happening::Fulfill,
    };
    Command::Happen { order_id: order_id(order), happening }
}

/// Mostly those that fit, in this order or the other; or one is missing, or they can't be charged.
fn prices(order: &NewOrder, way: u8) -> Vec<Price> {
    let list = PRICES[usize::from(way % 4)];
    let price = |(sku, _): &(Sku, Quantity)| {
        let (currency, units, nanos) = list[["a", "b", "c"].iter().position(|name| *name == sku.as_str()).unwrap()];
        let unit_price = Money::from_parts(Currency::parse(currency).unwrap(), units, nanos).unwrap();
        Price { sku: sku.clone(), unit_price }
    };
    match way {
        0..=3 => order.lines.iter().map(price).collect(),
        4..=6 => order.lines.iter().rev().map(price).collect(),
        _ => order.lines.iter().skip(1).map(price).collect(),
    }
}

fn order_id(order: usize) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(1 + order as u128))
}

fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}
