//! Rows of `orders` and their JSON columns, to and from the domain.

use observability::propagation::TraceHeaders;
use proto::values::{Currency, CustomerId, Money, OrderId, Quantity, RequestId, Sku};
use serde::{Deserialize, Serialize};
use time::OffsetDateTime;
use uuid::Uuid;

use super::StoredOrder;
use crate::domain::order::{Cancellation, Order, OrderLine, Rejection, Shortage, Status};

/// An element of `orders.lines`. The currency of the prices is that of the total.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct LineJson {
    sku: String,
    quantity: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    units: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    nanos: Option<i32>,
}

/// An element of `orders.shortages`.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct ShortageJson {
    sku: String,
    requested: u32,
    available: i64,
}

/// A row of `orders`.
pub(super) struct OrderRow {
    pub(super) order_id: Uuid,
    pub(super) customer_id: String,
    pub(super) request_id: Option<String>,
    pub(super) fingerprint: Vec<u8>,
    pub(super) status: i16,
    pub(super) version: i16,
    pub(super) lines: serde_json::Value,
    pub(super) create_time: OffsetDateTime,
    pub(super) decide_time: Option<OffsetDateTime>,
    pub(super) close_time: Option<OffsetDateTime>,
    pub(super) reject_reason: Option<String>,
    pub(super) shortages: Option<serde_json::Value>,
    pub(super) cancel_reason: Option<String>,
    pub(super) cancel_note: Option<String>,
    pub(super) total_currency: Option<String>,
    pub(super) total_units: Option<i64>,
    pub(super) total_nanos: Option<i32>,
    pub(super) traceparent: Option<String>,
    pub(super) tracestate: Option<String>,
}

/// The number of a status in the database, as in the contract.
pub(super) fn status_number(status: Status) -> i16 {
    match status {
        Status::Pending => 1,
        Status::Confirmed => 2,
        Status::Rejected => 3,
        Status::Cancelled => 4,
        Status::Fulfilled => 5,
    }
}

fn status_of(number: i16) -> Option<Status> {
    Status::ALL.into_iter().find(|status| status_number(*status) == number)
}

pub(super) fn version_number(version: u16) -> i16 {
    i16::try_from(version).expect("an order has three versions at most")
}

pub(super) fn lines_json(lines: &[OrderLine]) -> serde_json::Value {
    let line = |line: &OrderLine| LineJson {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        units: line.unit_price.map(|price| price.units()),
        nanos: line.unit_price.map(|price| price.nanos()),
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

fn not_ours(what: &str) -> sqlx::Error {
    sqlx::Error::Decode(format!("a row holds {what} that this version does not write").into())
}

impl LineJson {
    fn into_line(self, currency: Option<Currency>) -> Result<OrderLine, sqlx::Error> {
        let unit_price = match (currency, self.units, self.nanos) {
            (Some(currency), Some(units), Some(nanos)) => {
                Some(Money::from_parts(currency, units, nanos).ok_or_else(|| not_ours("a price"))?)
            }
            _ => None,
        };
        let quantity = Quantity::parse(self.quantity).map_err(|_| not_ours("a quantity"))?;
        Ok(OrderLine { sku: Sku::from_stored(self.sku), quantity, unit_price })
    }
}

impl OrderRow {
    pub(super) fn into_stored(self) -> Result<StoredOrder, sqlx::Error> {
        let currency = self.total_currency.as_deref().map(Currency::parse).transpose();
        let currency = currency.map_err(|_| not_ours("a currency"))?;
        let total = match (currency, self.total_units, self.total_nanos) {
            (Some(currency), Some(units), Some(nanos)) => {
                Some(Money::from_parts(currency, units, nanos).ok_or_else(|| not_ours("a total"))?)
            }
            _ => None,
        };
        let lines: Vec<LineJson> = serde_json::from_value(self.lines).map_err(|_| not_ours("lines"))?;
        let lines = lines.into_iter().map(|line| line.into_line(currency)).collect::<Result<_, _>>()?;
        let rejection = match self.reject_reason {
            Some(reason) => Some(Rejection { reason, shortages: shortages(self.shortages)? }),
            None => None,
        };
        let note = self.cancel_note.unwrap_or_default();
        let order = Order {
            order_id: OrderId::from_uuid(self.order_id),
            customer_id: CustomerId::from_stored(self.customer_id),
            request_id: self.request_id.map(RequestId::from_stored),
            fingerprint: self.fingerprint.try_into().map_err(|_| not_ours("a fingerprint"))?,
            lines,
            status: status_of(self.status).ok_or_else(|| not_ours("a status"))?,
            version: u16::try_from(self.version).map_err(|_| not_ours("a version"))?,
            create_time: self.create_time,
            decide_time: self.decide_time,
            close_time: self.close_time,
            total,
            rejection,
            cancellation: self.cancel_reason.map(|reason| Cancellation { reason, note }),
        };
        let placement =
            TraceHeaders { traceparent: self.traceparent, tracestate: self.tracestate, ..TraceHeaders::default() };
        Ok(StoredOrder { order, placement })
    }
}

fn shortages(json: Option<serde_json::Value>) -> Result<Vec<Shortage>, sqlx::Error> {
    let Some(json) = json else { return Ok(Vec::new()) };
    let shortages: Vec<ShortageJson> = serde_json::from_value(json).map_err(|_| not_ours("shortages"))?;
    let shortage = |shortage: ShortageJson| Shortage {
        sku: Sku::from_stored(shortage.sku),
        requested: shortage.requested,
        available: shortage.available,
    };
    Ok(shortages.into_iter().map(shortage).collect())
}
