//! Reads outside any transaction.

use postgres::lookup::{Query, Reading};
use postgres::telemetry::observed;
use postgres::{Database, Lookup};
use proto::values::{CustomerId, OrderId, RequestId};
use runtime::tasks::TaskGroup;
use sqlx::PgPool;
use uuid::Uuid;

use super::StoredOrder;
use super::rows::{OrderRow, status_number};
use crate::domain::order::Status;

/// The lookups of one replica. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookups {
    /// What an order is.
    pub by_id: Lookup<OrderById>,
    /// Whether a request id has an order.
    pub by_request: Lookup<OrderByRequest>,
}

impl Lookups {
    /// Spawns the tasks that read.
    #[must_use]
    pub fn start(database: &Database, tasks: &TaskGroup) -> Self {
        Self {
            by_id: Lookup::start(OrderById, database, tasks),
            by_request: Lookup::start(OrderByRequest, database, tasks),
        }
    }
}

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

/// Which request ids have an order, those of many callers in one query.
#[derive(Debug)]
pub struct OrderByRequest;

impl Query for OrderByRequest {
    const OPERATION: &'static str = "find_request";
    type Key = (CustomerId, RequestId);
    type Value = ();

    fn read<'t>(&'t self, reads: &'t PgPool, requests: &'t [Self::Key]) -> Reading<'t, Self::Key, ()> {
        Box::pin(async move {
            let customers: Vec<&str> = requests.iter().map(|(customer_id, _)| customer_id.as_str()).collect();
            let request_ids: Vec<&str> = requests.iter().map(|(_, request_id)| request_id.as_str()).collect();
            let found = sqlx::query_scalar!(
                r#"select position as "position!"
                   from unnest($1::text[], $2::text[]) with ordinality as given (customer_id, request_id, position)
                   join orders using (customer_id, request_id)"#,
                customers.as_slice() as &[&str],
                request_ids.as_slice() as &[&str],
            )
            .fetch_all(reads)
            .await?;
            let keys = found.into_iter().filter_map(|position| requests.get(usize::try_from(position - 1).ok()?));
            Ok(keys.map(|key| (key.clone(), ())).collect())
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

/// Orders that are looked at for one page at most, in whatever status. No index knows the status (each move would have to
/// change it), so without a bound a page in a rare status reads the whole table.
pub const MOST_LOOKED_AT: i64 = 5_000;

/// The last order that a page may look at; none when it may look at all that there are. Only a page in a status passes
/// over orders, and needs it.
///
/// # Errors
/// Those of the database.
pub async fn last_looked_at(database: &Database, filter: &OrderFilter) -> Result<Option<OrderId>, sqlx::Error> {
    if filter.status.is_none() {
        return Ok(None);
    }
    let before = filter.before.map_or(Uuid::max(), OrderId::uuid);
    let last = match &filter.customer_id {
        Some(customer_id) => {
            let read = sqlx::query_scalar!(
                "select order_id from orders where customer_id = $1 and order_id < $2
                 order by order_id desc offset $3 limit 1",
                customer_id.as_str(),
                before,
                MOST_LOOKED_AT - 1,
            );
            observed("list_orders", read.fetch_optional(database.reads())).await?
        }
        None => {
            let read = sqlx::query_scalar!(
                "select order_id from orders where order_id < $1 order by order_id desc offset $2 limit 1",
                before,
                MOST_LOOKED_AT - 1,
            );
            observed("list_orders", read.fetch_optional(database.reads())).await?
        }
    };
    Ok(last.map(OrderId::from_uuid))
}

/// Up to `count` orders, newest first, down to `last_looked_at`.
///
/// # Errors
/// Those of the database.
pub async fn orders(
    database: &Database,
    filter: &OrderFilter,
    last_looked_at: Option<OrderId>,
    count: i64,
) -> Result<Vec<StoredOrder>, sqlx::Error> {
    let before = filter.before.map_or(Uuid::max(), OrderId::uuid);
    let down_to = last_looked_at.map_or(Uuid::nil(), OrderId::uuid);
    let status = filter.status.map(status_number);
    let rows = match &filter.customer_id {
        Some(customer_id) => {
            let read = sqlx::query_as!(
                OrderRow,
                "select order_id, customer_id, request_id, fingerprint, status, version, lines, create_time,
                        decide_time, close_time, reject_reason, shortages, cancel_reason, cancel_note,
                        total_currency, total_units, total_nanos, traceparent, tracestate
                 from orders
                 where customer_id = $1 and order_id < $2 and order_id >= $3
                       and ($4::smallint is null or status = $4)
                 order by order_id desc limit $5",
                customer_id.as_str(),
                before,
                down_to,
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
                 where order_id < $1 and order_id >= $2 and ($3::smallint is null or status = $3)
                 order by order_id desc limit $4",
                before,
                down_to,
                status,
                count,
            );
            observed("list_orders", read.fetch_all(database.reads())).await?
        }
    };
    rows.into_iter().map(OrderRow::into_stored).collect()
}
