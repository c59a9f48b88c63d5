//! The sweep's work list (O4): PENDING orders, and final ones whose stock has not been heard of.

use std::time::Duration;

use postgres::{Database, contained};
use proto::values::OrderId;
use sqlx::postgres::types::PgInterval;

/// Takes up to `count` orders whose time has come, the longest waiting first, and puts off their next attempt: by `pause`,
/// doubled with each attempt up to 32 times, and spread. No lock outlives the statement.
///
/// # Errors
/// Those of the database.
pub async fn take_due(database: &Database, count: i64, pause: Duration) -> Result<Vec<OrderId>, sqlx::Error> {
    let pause = PgInterval::try_from(pause).map_err(sqlx::Error::Encode)?;
    let take = sqlx::query_scalar!(
        "update unfinished_orders
         set attempts = attempts + 1,
             next_attempt_at = clock_timestamp() + $2::interval * power(2, least(attempts, 5)) * (0.75 + random() / 2)
         where order_id in (
             select order_id from unfinished_orders
             where next_attempt_at <= clock_timestamp()
             order by next_attempt_at
             limit $1
             for update skip locked
         )
         returning order_id",
        count,
        pause,
    );
    let taken = contained(take.fetch_all(database.writes())).await?;
    Ok(taken.into_iter().map(OrderId::from_uuid).collect())
}
