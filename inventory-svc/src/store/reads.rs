//! Reads outside any transaction.

use postgres::Database;
use postgres::telemetry::observed;
use proto::values::{OrderId, Sku};

use super::rows::{ReservationRow, StockRow};
use crate::domain::reservation::Reservation;
use crate::domain::stock::StockItem;

/// The reservation of an order.
///
/// # Errors
/// Those of the database.
pub async fn reservation(database: &Database, order_id: OrderId) -> Result<Option<Reservation>, sqlx::Error> {
    let read = sqlx::query_as!(
        ReservationRow,
        "select order_id, status, version, lines, rejection_reason, shortages, create_time, update_time
         from reservations where order_id = $1",
        order_id.uuid(),
    );
    let row = observed("get_reservation", read.fetch_optional(database.reads())).await?;
    row.map(ReservationRow::into_reservation).transpose()
}

/// One SKU.
///
/// # Errors
/// Those of the database.
pub async fn item(database: &Database, sku: &Sku) -> Result<Option<StockItem>, sqlx::Error> {
    let read = sqlx::query_as!(
        StockRow,
        "select sku, name, price_currency, price_units, price_nanos, on_hand, reserved, update_time
         from stock where sku = $1",
        sku.as_str(),
    );
    let row = observed("get_stock", read.fetch_optional(database.reads())).await?;
    row.map(StockRow::into_item).transpose()
}

/// Up to `count` SKUs by name, after `after`.
///
/// # Errors
/// Those of the database.
pub async fn items(database: &Database, after: Option<&Sku>, count: i64) -> Result<Vec<StockItem>, sqlx::Error> {
    let read = sqlx::query_as!(
        StockRow,
        "select sku, name, price_currency, price_units, price_nanos, on_hand, reserved, update_time
         from stock where sku > $1 order by sku limit $2",
        after.map_or("", Sku::as_str),
        count,
    );
    let rows = observed("list_stock", read.fetch_all(database.reads())).await?;
    rows.into_iter().map(StockRow::into_item).collect()
}
