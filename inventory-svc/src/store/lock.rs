//! Every lock of a batch, in one order, then what they protect (T1, T3).

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;
use proto::values::{OrderId, Sku};
use time::OffsetDateTime;
use uuid::Uuid;

use super::Submitted;
use super::imports::{self, ClaimedRows};
use super::rows::{ReservationRow, StockRow};
use crate::domain::import::{ChunkId, ImportRow};
use crate::domain::ledger::{Command, Ledger};
use crate::domain::reservation::Status;

/// Rows that this batch inserted so that no other decides about them meanwhile.
#[derive(Debug, Default)]
pub(super) struct Claims {
    /// Orders that had no reservation. The row is a placeholder until it is saved.
    pub(super) orders: BTreeSet<OrderId>,
    /// Rows of imports that were not applied before.
    pub(super) rows: ClaimedRows,
    /// SKUs that did not exist. Their rows are placeholders until they are saved.
    pub(super) items: BTreeSet<Sku>,
}

/// Locks and loads everything that `commands` are about.
pub(super) async fn lock_and_load(
    transaction: &mut Transaction,
    commands: &[Submitted],
    now: OffsetDateTime,
) -> Result<(Ledger, Claims), sqlx::Error> {
    let mut ledger = Ledger::default();
    let mut claims = Claims::default();
    let mut orders: BTreeSet<OrderId> = BTreeSet::new();
    let mut import: Vec<(ChunkId, &ImportRow)> = Vec::new();
    for Submitted { command, .. } in commands {
        match command {
            Command::Reserve { order_id, .. } | Command::Close { order_id, .. } => {
                orders.insert(*order_id);
            }
            Command::Import { chunk_id, rows } => import.extend(rows.iter().map(|row| (*chunk_id, row))),
        }
    }
    if !import.is_empty() {
        claims.rows = imports::claim(transaction, &import, &mut ledger).await?;
        claims.items = create_items(transaction, &import, now).await?;
    }
    if !orders.is_empty() {
        claims.orders = claim_orders(transaction, &orders, now).await?;
        load_reservations(transaction, &orders, &claims, &mut ledger).await?;
    }
    let skus: BTreeSet<Sku> = skus_to_lock(commands, &ledger).into_iter().cloned().collect();
    if !skus.is_empty() {
        lock_stock(transaction, &skus, &claims, &mut ledger).await?;
    }
    Ok((ledger, claims))
}

/// Inserts SKUs that don't exist yet, so that all stock of the batch can be locked in one pass. Existing ones are left
/// alone. Whoever is waited for here has inserted or is updating the row: stock is updated last, so that transaction waits
/// for nobody.
async fn create_items(
    transaction: &mut Transaction,
    import: &[(ChunkId, &ImportRow)],
    now: OffsetDateTime,
) -> Result<BTreeSet<Sku>, sqlx::Error> {
    let mut new: BTreeMap<&str, (&ImportRow, proto::values::Money)> = BTreeMap::new();
    for (_, row) in import.iter().filter(|(_, row)| row.quantity >= 0) {
        if let Some(unit_price) = row.unit_price {
            new.entry(row.sku.as_str()).or_insert((row, unit_price));
        }
    }
    let skus: Vec<&str> = new.keys().copied().collect();
    let currencies: Vec<String> = new.values().map(|(_, price)| price.currency().as_str().to_owned()).collect();
    let units: Vec<i64> = new.values().map(|(_, price)| price.units()).collect();
    let nanos: Vec<i32> = new.values().map(|(_, price)| price.nanos()).collect();
    let created = sqlx::query_scalar!(
        r#"insert into stock (sku, name, price_currency, price_units, price_nanos, on_hand, update_time)
           select sku, sku, currency, units, nanos, 0, $5
           from unnest($1::text[], $2::text[], $3::bigint[], $4::int[]) as given (sku, currency, units, nanos)
           order by sku collate "C"
           on conflict do nothing
           returning sku"#,
        &skus as &[&str],
        &currencies,
        &units,
        &nanos,
        now,
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(created.into_iter().map(Sku::from_stored).collect())
}

/// In one pass by id: inserts a placeholder where there is nothing (the claim, T3) and locks what is there. The update
/// that never happens is what makes ON CONFLICT lock the row.
async fn claim_orders(
    transaction: &mut Transaction,
    orders: &BTreeSet<OrderId>,
    now: OffsetDateTime,
) -> Result<BTreeSet<OrderId>, sqlx::Error> {
    let ids: Vec<Uuid> = orders.iter().map(|order_id| order_id.uuid()).collect();
    let claimed = sqlx::query_scalar!(
        "insert into reservations (order_id, status, version, lines, create_time, update_time)
         select id, 2, 0, '[]', $2, $2 from unnest($1::uuid[]) as id order by id
         on conflict (order_id) do update set version = reservations.version where false
         returning order_id",
        &ids,
        now,
    )
    .fetch_all(transaction.connection())
    .await?;
    Ok(claimed.into_iter().map(OrderId::from_uuid).collect())
}

/// A statement of its own, after the locks: it sees what those who held them have committed.
async fn load_reservations(
    transaction: &mut Transaction,
    orders: &BTreeSet<OrderId>,
    claims: &Claims,
    ledger: &mut Ledger,
) -> Result<(), sqlx::Error> {
    let existing: Vec<Uuid> = orders.difference(&claims.orders).map(|order_id| order_id.uuid()).collect();
    if existing.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query_as!(
        ReservationRow,
        "select order_id, status, version, lines, rejection_reason, shortages, create_time, update_time
         from reservations where order_id = any($1)",
        &existing,
    )
    .fetch_all(transaction.connection())
    .await?;
    for row in rows {
        let reservation = row.into_reservation()?;
        ledger.reservations.insert(reservation.order_id, reservation);
    }
    Ok(())
}

/// SKUs whose quantities the commands may move.
fn skus_to_lock<'a>(commands: &'a [Submitted], ledger: &'a Ledger) -> BTreeSet<&'a Sku> {
    let mut skus = BTreeSet::new();
    for Submitted { command, .. } in commands {
        match command {
            Command::Reserve { order_id, lines } if !ledger.reservations.contains_key(order_id) => {
                skus.extend(lines.iter().map(|line| &line.sku));
            }
            Command::Reserve { .. } | Command::Close { .. } => {}
            Command::Import { rows, .. } => skus.extend(rows.iter().map(|row| &row.sku)),
        }
    }
    let held = ledger.reservations.values().filter(|reservation| reservation.status == Status::Held);
    skus.extend(held.flat_map(|reservation| &reservation.lines).map(|line| &line.sku));
    skus
}

/// The last locks, by name. Under READ COMMITTED the rows come as they are once the lock is granted.
async fn lock_stock(
    transaction: &mut Transaction,
    skus: &BTreeSet<Sku>,
    claims: &Claims,
    ledger: &mut Ledger,
) -> Result<(), sqlx::Error> {
    let skus: Vec<&str> = skus.iter().map(Sku::as_str).collect();
    let rows = sqlx::query_as!(
        StockRow,
        r#"select sku, name, price_currency, price_units, price_nanos, on_hand, reserved, update_time
           from stock where sku = any($1) order by sku collate "C" for no key update"#,
        &skus as &[&str],
    )
    .fetch_all(transaction.connection())
    .await?;
    for row in rows {
        let item = row.into_item()?;
        // A SKU that this batch created exists from the row on that brings it, not before.
        if !claims.items.contains(&item.sku) {
            ledger.stock.insert(item.sku.clone(), item);
        }
    }
    Ok(())
}
