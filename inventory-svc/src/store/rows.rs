//! Rows and their JSON columns, to and from the domain.

use proto::values::{Currency, Money, OrderId, Quantity, Sku};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use crate::domain::reservation::{Rejection, RejectionReason, Reservation, ReservedLine, Shortage, Status};
use crate::domain::stock::StockItem;

/// An element of `reservations.lines`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineJson {
    sku: String,
    quantity: u32,
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    price: Option<PriceJson>,
}

#[derive(Debug, Serialize, Deserialize)]
struct PriceJson {
    currency: String,
    units: i64,
    nanos: i32,
}

/// An element of `reservations.shortages`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShortageJson {
    sku: String,
    requested: u32,
    available: i64,
}

/// A row of `reservations`.
pub(super) struct ReservationRow {
    pub(super) order_id: Uuid,
    pub(super) status: i16,
    pub(super) version: i16,
    pub(super) lines: serde_json::Value,
    pub(super) rejection_reason: Option<String>,
    pub(super) shortages: Option<serde_json::Value>,
    pub(super) create_time: OffsetDateTime,
    pub(super) update_time: OffsetDateTime,
}

/// A row of `stock`.
pub(super) struct StockRow {
    pub(super) sku: String,
    pub(super) name: String,
    pub(super) price_currency: String,
    pub(super) price_units: i64,
    pub(super) price_nanos: i32,
    pub(super) on_hand: i64,
    pub(super) reserved: i64,
    pub(super) update_time: OffsetDateTime,
}

/// The number of a status in the database, as in the contract.
pub(super) fn status_number(status: Status) -> i16 {
    match status {
        Status::Held => 1,
        Status::Released => 2,
        Status::Shipped => 3,
        Status::Rejected => 4,
    }
}

fn status_of(number: i16) -> Option<Status> {
    [Status::Held, Status::Released, Status::Shipped, Status::Rejected]
        .into_iter()
        .find(|status| status_number(*status) == number)
}

fn not_ours(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a row holds {what} that this version does not write").into())
}

fn price(currency: &str, units: i64, nanos: i32) -> Result<Money, sqlx::Error> {
    let currency = Currency::parse(currency).map_err(|_| not_ours("a currency"))?;
    Money::from_parts(currency, units, nanos).ok_or_else(|| not_ours("an amount"))
}

impl LineJson {
    fn into_line(self) -> Result<ReservedLine, sqlx::Error> {
        let unit_price = self.price.map(|money| price(&money.currency, money.units, money.nanos)).transpose()?;
        let quantity = Quantity::parse(self.quantity).map_err(|_| not_ours("a quantity"))?;
        Ok(ReservedLine { sku: Sku::from_stored(self.sku), quantity, unit_price })
    }
}

pub(super) fn lines_json(lines: &[ReservedLine]) -> serde_json::Value {
    let line = |line: &ReservedLine| LineJson {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        price: line.unit_price.map(|price| PriceJson {
            currency: price.currency().as_str().to_owned(),
            units: price.units(),
            nanos: price.nanos(),
        }),
    };
    let lines: Vec<LineJson> = lines.iter().map(line).collect();
    serde_json::to_value(lines).expect("texts and numbers are JSON")
}

pub(super) fn shortages_json(shortages: &[Shortage]) -> serde_json::Value {
    let shortage = |shortage: &Shortage| ShortageJson {
        sku: shortage.sku.to_string(),
        requested: shortage.requested,
        available: shortage.available,
    };
    let shortages: Vec<ShortageJson> = shortages.iter().map(shortage).collect();
    serde_json::to_value(shortages).expect("texts and numbers are JSON")
}

impl ReservationRow {
    pub(super) fn into_reservation(self) -> Result<Reservation, sqlx::Error> {
        let lines: Vec<LineJson> = serde_json::from_value(self.lines).map_err(|_| not_ours("lines"))?;
        let shortages: Vec<ShortageJson> = match self.shortages {
            Some(shortages) => serde_json::from_value(shortages).map_err(|_| not_ours("shortages"))?,
            None => Vec::new(),
        };
        let shortages = shortages.into_iter().map(|shortage| Shortage {
            sku: Sku::from_stored(shortage.sku),
            requested: shortage.requested,
            available: shortage.available,
        });
        let rejection = match self.rejection_reason {
            Some(code) => {
                let reason = RejectionReason::from_code(&code).ok_or_else(|| not_ours("a reason"))?;
                Some(Rejection { reason, shortages: shortages.collect() })
            }
            None => None,
        };
        Ok(Reservation {
            order_id: OrderId::from_uuid(self.order_id),
            status: status_of(self.status).ok_or_else(|| not_ours("a status"))?,
            version: u16::try_from(self.version).map_err(|_| not_ours("a version"))?,
            lines: lines.into_iter().map(LineJson::into_line).collect::<Result<_, _>>()?,
            rejection,
            create_time: self.create_time,
            update_time: self.update_time,
        })
    }
}

impl StockRow {
    pub(super) fn into_item(self) -> Result<StockItem, sqlx::Error> {
        Ok(StockItem {
            unit_price: price(&self.price_currency, self.price_units, self.price_nanos)?,
            sku: Sku::from_stored(self.sku),
            name: self.name,
            on_hand: self.on_hand,
            reserved: self.reserved,
            update_time: self.update_time,
        })
    }
}
