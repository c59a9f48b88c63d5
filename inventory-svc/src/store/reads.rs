//! Reads outside any transaction.

use postgres::Database;
use postgres::lookup::{Query, Reading};
use postgres::telemetry::observed;
use proto::values::{OrderId, Sku};
use sqlx::PgPool;

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

/// Stock by SKU, those of many callers in one query.
#[derive(Debug)]
pub struct ItemBySku;

impl Query for ItemBySku {
    const OPERATION: &'static str = "get_stock";
    type Key = Sku;
    type Value = StockItem;

    fn read<'t>(&'t self, reads: &'t PgPool, skus: &'t [Sku]) -> Reading<'t, Sku, StockItem> {
        Box::pin(async move {
            let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
            let rows = sqlx::query_as!(
                StockRow,
                "select sku, name, price_currency, price_units, price_nanos, on_hand, reserved, update_time
                 from stock where sku = any($1)",
                &skus as &[&str],
            )
            .fetch_all(reads)
            .await?;
            let items = rows.into_iter().map(StockRow::into_item);
            items.map(|item| item.map(|item| (item.sku.clone(), item))).collect()
        })
    }
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
