//! One net change for each row (T2).

use postgres::Transaction;
use time::OffsetDateTime;
use uuid::Uuid;

use super::rows::{lines_json, shortages_json, status_number, version_number};
use crate::domain::ledger::Ledger;
use crate::domain::order::Order;

/// Writes the orders that moved, and takes those off the sweep's work list that nothing more is to be done about.
pub(super) async fn orders(transaction: &mut Transaction, ledger: &Ledger) -> Result<(), sqlx::Error> {
    let moved: Vec<&Order> = ledger.moved().collect();
    let finished: Vec<Uuid> = ledger.finished().map(|order_id| order_id.uuid()).collect();
    if moved.is_empty() && finished.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = moved.iter().map(|order| order.order_id.uuid()).collect();
    let statuses: Vec<i16> = moved.iter().map(|order| status_number(order.status)).collect();
    let versions: Vec<i16> = moved.iter().map(|order| version_number(order.version)).collect();
    let lines: Vec<serde_json::Value> = moved.iter().map(|order| lines_json(&order.lines)).collect();
    let decided: Vec<Option<OffsetDateTime>> = moved.iter().map(|order| order.decide_time).collect();
    let closed: Vec<Option<OffsetDateTime>> = moved.iter().map(|order| order.close_time).collect();
    let rejections = moved.iter().map(|order| order.rejection.as_ref());
    let reject_reasons: Vec<Option<&str>> =
        rejections.clone().map(|rejection| rejection.map(|rejection| rejection.reason.as_str())).collect();
    let shortages: Vec<Option<serde_json::Value>> =
        rejections.map(|rejection| rejection.map(|rejection| shortages_json(&rejection.shortages))).collect();
    let cancellations = moved.iter().map(|order| order.cancellation.as_ref());
    let cancel_reasons: Vec<Option<&str>> =
        cancellations.clone().map(|cancelled| cancelled.map(|cancelled| cancelled.reason.as_str())).collect();
    let cancel_notes: Vec<Option<&str>> =
        cancellations.map(|cancelled| cancelled.map(|cancelled| cancelled.note.as_str())).collect();
    let currencies: Vec<Option<String>> =
        moved.iter().map(|order| order.total.map(|total| total.currency().as_str().to_owned())).collect();
    let units: Vec<Option<i64>> = moved.iter().map(|order| order.total.map(|total| total.units())).collect();
    let nanos: Vec<Option<i32>> = moved.iter().map(|order| order.total.map(|total| total.nanos())).collect();
    sqlx::query!(
        "with finished as (delete from unfinished_orders where order_id = any($14::uuid[]))
         update orders
         set status = new.status, version = new.version, lines = new.lines, decide_time = new.decide_time,
             close_time = new.close_time, reject_reason = new.reject_reason, shortages = new.shortages,
             cancel_reason = new.cancel_reason, cancel_note = new.cancel_note, total_currency = new.currency,
             total_units = new.units, total_nanos = new.nanos
         from unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::jsonb[], $5::timestamptz[], $6::timestamptz[],
                     $7::text[], $8::jsonb[], $9::text[], $10::text[], $11::text[], $12::bigint[], $13::int[])
              as new (order_id, status, version, lines, decide_time, close_time, reject_reason, shortages,
                      cancel_reason, cancel_note, currency, units, nanos)
         where orders.order_id = new.order_id",
        &ids,
        &statuses,
        &versions,
        &lines,
        &decided as &[Option<OffsetDateTime>],
        &closed as &[Option<OffsetDateTime>],
        &reject_reasons as &[Option<&str>],
        &shortages as &[Option<serde_json::Value>],
        &cancel_reasons as &[Option<&str>],
        &cancel_notes as &[Option<&str>],
        &currencies as &[Option<String>],
        &units as &[Option<i64>],
        &nanos as &[Option<i32>],
        &finished,
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Puts orders on the sweep's work list that were closed: inventory has yet to confirm the end of their stock (O4).
pub(super) async fn unsettled(
    transaction: &mut Transaction,
    ledger: &Ledger,
    sweep_at: OffsetDateTime,
) -> Result<(), sqlx::Error> {
    let unsettled: Vec<Uuid> = ledger.unsettled().map(|order_id| order_id.uuid()).collect();
    if unsettled.is_empty() {
        return Ok(());
    }
    sqlx::query!(
        "insert into unfinished_orders (order_id, next_attempt_at)
         select order_id, $2 from unnest($1::uuid[]) as order_id
         on conflict (order_id) do update set next_attempt_at = excluded.next_attempt_at, attempts = 0",
        &unsettled,
        sweep_at,
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}
