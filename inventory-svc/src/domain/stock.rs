//! What there is, and the planner that promises it.

use std::collections::BTreeMap;

use proto::values::{Money, Sku};
use time::OffsetDateTime;

use super::reservation::{Rejection, RejectionReason, RequestedLine, ReservedLine, Shortage};

/// What there is of one SKU. Always `0 ≤ reserved ≤ on_hand` (I2).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StockItem {
    /// What.
    pub sku: Sku,
    /// For people.
    pub name: String,
    /// Price of one, for orders to come.
    pub unit_price: Money,
    /// Units physically there.
    pub on_hand: i64,
    /// Units held for orders; part of `on_hand`.
    pub reserved: i64,
    /// When it last changed.
    pub update_time: OffsetDateTime,
}

impl StockItem {
    /// Units that can be promised.
    #[must_use]
    pub fn available(&self) -> i64 {
        self.on_hand - self.reserved
    }
}

/// Loaded stock by SKU; a SKU that is not in it does not exist.
pub type Stock = BTreeMap<Sku, StockItem>;

/// Decides whether an order's lines can be held, all or none, at today's prices. Does not change the stock: see [`move_lines`].
///
/// # Errors
/// The first of these that applies: a SKU is unknown; prices are in more than one currency; the total is too large; there
/// is not enough. What can never be charged is refused before anything is held (O6).
pub fn plan(stock: &Stock, lines: &[RequestedLine]) -> Result<Vec<ReservedLine>, Rejection> {
    let shortage =
        |line: &RequestedLine, available| Shortage { sku: line.sku.clone(), requested: line.quantity.get(), available };
    let unknown: Vec<Shortage> =
        lines.iter().filter(|line| !stock.contains_key(&line.sku)).map(|line| shortage(line, 0)).collect();
    if !unknown.is_empty() {
        return Err(Rejection { reason: RejectionReason::UnknownSku, shortages: unknown });
    }
    let items: Vec<(&RequestedLine, &StockItem)> =
        lines.iter().filter_map(|line| Some((line, stock.get(&line.sku)?))).collect();

    let refuse = |reason| Err(Rejection { reason, shortages: Vec::new() });
    let Some(currency) = items.first().map(|(_, item)| item.unit_price.currency()) else {
        return Ok(Vec::new());
    };
    if items.iter().any(|(_, item)| item.unit_price.currency() != currency) {
        return refuse(RejectionReason::MixedCurrency);
    }
    let total = items
        .iter()
        .try_fold(Money::zero(currency), |sum, (line, item)| sum.plus(item.unit_price, line.quantity.get()));
    if total.is_err() {
        return refuse(RejectionReason::AmountTooLarge);
    }

    // Summed, so that not even a SKU in two lines, which nobody lets through, is promised twice.
    let wanted = |sku: &Sku| -> i64 {
        lines.iter().filter(|line| line.sku == *sku).map(|line| i64::from(line.quantity.get())).sum()
    };
    let short: Vec<Shortage> = items
        .iter()
        .filter(|(line, item)| item.available() < wanted(&line.sku))
        .map(|(line, item)| shortage(line, item.available()))
        .collect();
    if !short.is_empty() {
        return Err(Rejection { reason: RejectionReason::OutOfStock, shortages: short });
    }
    let held = |(line, item): (&RequestedLine, &StockItem)| ReservedLine {
        sku: line.sku.clone(),
        quantity: line.quantity,
        unit_price: Some(item.unit_price),
    };
    Ok(items.into_iter().map(held).collect())
}

/// How lines move the quantities of their SKUs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Movement {
    /// Promise them.
    Hold,
    /// Take the promise back.
    Release,
    /// Take them out for good.
    Ship,
}

/// Moves the quantities of `lines`, which were planned on this very stock (or held before).
///
/// # Panics
/// When that is not so: the caller then has a bug that must not reach the database.
pub fn move_lines(stock: &mut Stock, lines: &[ReservedLine], movement: Movement, now: OffsetDateTime) {
    for line in lines {
        let item = stock.get_mut(&line.sku).expect("the stock of a held or planned line was loaded");
        let quantity = i64::from(line.quantity.get());
        match movement {
            Movement::Hold => item.reserved += quantity,
            Movement::Release => item.reserved -= quantity,
            Movement::Ship => {
                item.reserved -= quantity;
                item.on_hand -= quantity;
            }
        }
        assert!((0..=item.on_hand).contains(&item.reserved), "reserved stays between 0 and on_hand (I2): {item:?}");
        item.update_time = now;
    }
}
