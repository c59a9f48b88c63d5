//! Reads outside any transaction.

use postgres::Database;
use postgres::lookup::{Query, Reading};
use postgres::telemetry::observed;
use proto::values::{CustomerId, OrderId};
use sqlx::PgPool;
use uuid::Uuid;

use super::StoredOrder;
use super::rows::{OrderRow, status_number};
use crate::domain::order::Status;

/// Orders by id, those of many callers in one query.
#[derive(Debug)]
pub struct OrderById;

impl Query for OrderById {
    const OPERATION: &'static str = "get_order";
    type Key = OrderId;
    type Value = StoredOrder;

    fn read<'t>(&'t self, reads: &'t PgPool, order_ids: &'t [OrderId]) -> Reading<'t, OrderId, StoredOrder> {
        Box::pin(async move {
            let ids: Vec<Uuid> = order_ids.iter().map(|order_id| order_id.uuid()).collect();
            let rows = sqlx::query_as!(
                OrderRow,
                "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time, decide_time,
                        close_time, reject_reason, shortages, cancel_reason, cancel_note, total_currency, total_units,
                        total_nanos, traceparent, tracestate
                 from orders where order_id = any($1)",
                &ids,
            )
            .fetch_all(reads)
            .await?;
            let stored = rows.into_iter().map(OrderRow::into_stored);
            stored.map(|stored| stored.map(|stored| (stored.order.order_id, stored))).collect()
        })
    }
}

/// Which orders a list is of, and where its page begins.
#[derive(Clone, Debug)]
pub struct OrderFilter {
    /// Of this customer only.
    pub customer_id: Option<CustomerId>,
    /// In this status only.
    pub status: Option<Status>,
    /// Older than this order: ids sort by the time of placement.
    pub before: Option<OrderId>,
}

/// Up to `count` orders, newest first.
///
/// # Errors
/// Those of the database.
pub async fn orders(database: &Database, filter: &OrderFilter, count: i64) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let before = filter.before.map_or(Uuid::max(), OrderId::uuid);
    let status = filter.status.map(status_number);
    let rows = match &filter.customer_id {
        Some(customer_id) => {
            let read = sqlx::query_as!(
                OrderRow,
                "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time,
                        decide_time, close_time, reject_reason, shortages, cancel_reason, cancel_note,
                        total_currency, total_units, total_nanos, traceparent, tracestate
                 from orders
                 where customer_id = $1 and order_id < $2 and ($3::smallint is null or status = $3)
                 order by order_id desc limit $4",
                customer_id.as_str(),
                before,
                status,
                count,
            );
            observed("list_orders", read.fetch_all(database.reads())).await?
        }
        None => {
            let read = sqlx::query_as!(
                OrderRow,
                "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time,
                        decide_time, close_time, reject_reason, shortages, cancel_reason, cancel_note,
                        total_currency, total_units, total_nanos, traceparent, tracestate
                 from orders
                 where order_id < $1 and ($2::smallint is null or status = $2)
                 order by order_id desc limit $3",
                before,
                status,
                count,
            );
            observed("list_orders", read.fetch_all(database.reads())).await?
        }
    };
    rows.into_iter().map(OrderRow::into_stored).collect()
}
