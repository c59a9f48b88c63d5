//! One net change for each row (T2).

use postgres::Transaction;
use time::OffsetDateTime;
use uuid::Uuid;

use super::lock::Claims;
use super::rows::{lines_json, shortages_json, status_number};
use crate::domain::ledger::Ledger;
use crate::domain::reservation::Reservation;
use crate::domain::stock::StockItem;

/// Writes what became of the reservations; takes back claims that nothing came of.
pub(super) async fn reservations(
    transaction: &mut Transaction,
    ledger: &Ledger,
    claims: &Claims,
) -> Result<(), sqlx::Error> {
    let unused: Vec<Uuid> = claims
        .orders
        .iter()
        .filter(|order_id| !ledger.reservations.contains_key(order_id))
        .map(|order_id| order_id.uuid())
        .collect();
    if !unused.is_empty() {
        sqlx::query!("delete from reservations where order_id = any($1)", &unused)
            .execute(transaction.connection())
            .await?;
    }
    let changed: Vec<&Reservation> = ledger.changed_reservations().collect();
    if changed.is_empty() {
        return Ok(());
    }
    let ids: Vec<Uuid> = changed.iter().map(|reservation| reservation.order_id.uuid()).collect();
    let statuses: Vec<i16> = changed.iter().map(|reservation| status_number(reservation.status)).collect();
    let versions: Vec<i16> = changed.iter().map(|reservation| version_number(reservation.version)).collect();
    let lines: Vec<serde_json::Value> = changed.iter().map(|reservation| lines_json(&reservation.lines)).collect();
    let reasons: Vec<Option<&str>> = changed
        .iter()
        .map(|reservation| reservation.rejection.as_ref().map(|rejection| rejection.reason.as_str()))
        .collect();
    let shortages: Vec<Option<serde_json::Value>> = changed
        .iter()
        .map(|reservation| reservation.rejection.as_ref().map(|rejection| shortages_json(&rejection.shortages)))
        .collect();
    let times: Vec<OffsetDateTime> = changed.iter().map(|reservation| reservation.update_time).collect();
    sqlx::query!(
        "update reservations
         set status = new.status, version = new.version, lines = new.lines, rejection_reason = new.reason,
             shortages = new.shortages, update_time = new.update_time
         from unnest($1::uuid[], $2::smallint[], $3::smallint[], $4::jsonb[], $5::text[], $6::jsonb[],
                     $7::timestamptz[])
              as new (order_id, status, version, lines, reason, shortages, update_time)
         where reservations.order_id = new.order_id",
        &ids,
        &statuses,
        &versions,
        &lines,
        &reasons as &[Option<&str>],
        &shortages as &[Option<serde_json::Value>],
        &times,
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

/// Writes the stock, and takes back SKUs that nothing came of: last, because its locks are the ones that others wait for.
pub(super) async fn stock(transaction: &mut Transaction, ledger: &Ledger, claims: &Claims) -> Result<(), sqlx::Error> {
    let unused: Vec<&str> =
        claims.items.iter().filter(|sku| !ledger.stock.contains_key(sku)).map(proto::values::Sku::as_str).collect();
    if !unused.is_empty() {
        sqlx::query!("delete from stock where sku = any($1)", &unused as &[&str])
            .execute(transaction.connection())
            .await?;
    }
    let changed: Vec<&StockItem> = ledger.changed_stock().collect();
    if changed.is_empty() {
        return Ok(());
    }
    let skus: Vec<&str> = changed.iter().map(|item| item.sku.as_str()).collect();
    let names: Vec<&str> = changed.iter().map(|item| item.name.as_str()).collect();
    let currencies: Vec<String> = changed.iter().map(|item| item.unit_price.currency().as_str().to_owned()).collect();
    let units: Vec<i64> = changed.iter().map(|item| item.unit_price.units()).collect();
    let nanos: Vec<i32> = changed.iter().map(|item| item.unit_price.nanos()).collect();
    let on_hand: Vec<i64> = changed.iter().map(|item| item.on_hand).collect();
    let reserved: Vec<i64> = changed.iter().map(|item| item.reserved).collect();
    let times: Vec<OffsetDateTime> = changed.iter().map(|item| item.update_time).collect();
    sqlx::query!(
        "update stock
         set name = new.name, price_currency = new.currency, price_units = new.units, price_nanos = new.nanos,
             on_hand = new.on_hand, reserved = new.reserved, update_time = new.update_time
         from unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::int[], $6::bigint[], $7::bigint[],
                     $8::timestamptz[])
              as new (sku, name, currency, units, nanos, on_hand, reserved, update_time)
         where stock.sku = new.sku",
        &skus as &[&str],
        &names as &[&str],
        &currencies,
        &units,
        &nanos,
        &on_hand,
        &reserved,
        &times,
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

fn version_number(version: u16) -> i16 {
    i16::try_from(version).expect("a reservation has two versions at most")
}
