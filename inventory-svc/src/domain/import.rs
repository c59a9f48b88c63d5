//! Rows of a stock import.

use proto::values::{ImportId, Money, Sku};
use time::OffsetDateTime;
use uuid::Uuid;

use super::stock::{Stock, StockItem};

/// Id of the rows that one command brings: a UUIDv7, drawn when the command is made, and the same when it is submitted
/// again because its commit was in doubt (T4).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ChunkId(Uuid);

impl ChunkId {
    /// From where ids are drawn, or from the database.
    #[must_use]
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// For the database.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

/// Import and number: a row with this key is applied once.
pub type RowKey = (ImportId, u64);

/// A row: what arrived, was lost or is to be called or priced otherwise.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImportRow {
    /// Names the import; with [`ImportRow::row`] it makes a repetition known.
    pub import_id: ImportId,
    /// Number of the row in its import, from 1.
    pub row: u64,
    /// What.
    pub sku: Sku,
    /// New name; none leaves it as it is.
    pub name: Option<String>,
    /// New price; none leaves it as it is, and is no way to begin with.
    pub unit_price: Option<Money>,
    /// Units to add; negative ones are a loss or a correction.
    pub quantity: i64,
}

impl ImportRow {
    /// What makes a repetition of the row known.
    #[must_use]
    pub fn key(&self) -> RowKey {
        (self.import_id.clone(), self.row)
    }
}

/// What is kept of a row that was applied.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppliedRow {
    /// Which command brought it; none in rows that an older version has written.
    pub chunk_id: Option<ChunkId>,
    /// What.
    pub sku: Sku,
    /// Units that were added.
    pub quantity: i64,
}

/// Why a row is left out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RowRefusal {
    /// A SKU that does not exist yet needs a price.
    NewSkuWithoutPrice,
    /// The correction takes away more than is there and not held.
    BelowReserved,
    /// More units than the platform counts.
    TooMany,
}

impl RowRefusal {
    /// Stable code, for `RowError.reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::NewSkuWithoutPrice => "UNIT_PRICE_REQUIRED",
            Self::BelowReserved => "BELOW_RESERVED",
            Self::TooMany => "QUANTITY_TOO_LARGE",
        }
    }

    /// For people.
    #[must_use]
    pub fn message(self) -> &'static str {
        match self {
            Self::NewSkuWithoutPrice => "the SKU does not exist yet: give it a unit_price",
            Self::BelowReserved => "would take away units that are held for orders, or more than there are",
            Self::TooMany => "on_hand would exceed 10^15 units",
        }
    }
}

/// The most units of a SKU.
const MOST_ON_HAND: i64 = 1_000_000_000_000_000;

/// Applies a row to the stock; a refused row changes nothing.
///
/// # Errors
/// [`RowRefusal`].
pub fn apply_row(stock: &mut Stock, row: &ImportRow, now: OffsetDateTime) -> Result<(), RowRefusal> {
    let before = match (stock.get(&row.sku), row.unit_price) {
        (Some(item), _) => item.clone(),
        (None, Some(unit_price)) => StockItem {
            sku: row.sku.clone(),
            name: row.sku.to_string(),
            unit_price,
            on_hand: 0,
            reserved: 0,
            update_time: now,
        },
        (None, None) => return Err(RowRefusal::NewSkuWithoutPrice),
    };
    let on_hand = before.on_hand.checked_add(row.quantity).filter(|units| *units <= MOST_ON_HAND);
    let on_hand = on_hand.ok_or(RowRefusal::TooMany)?;
    if on_hand < before.reserved {
        return Err(RowRefusal::BelowReserved);
    }
    let after = StockItem {
        name: row.name.clone().unwrap_or_else(|| before.name.clone()),
        unit_price: row.unit_price.unwrap_or(before.unit_price),
        on_hand,
        update_time: now,
        ..before
    };
    stock.insert(row.sku.clone(), after);
    Ok(())
}
