//! Rows of imports that were applied: what makes each of them count once.

use std::collections::{BTreeMap, BTreeSet};

use postgres::Transaction;
use proto::values::{ImportId, Sku};
use uuid::Uuid;

use crate::domain::import::{AppliedRow, ChunkId, ImportRow, RowKey};
use crate::domain::ledger::Ledger;

/// Rows that were not applied before, as this batch has inserted them so that no other applies them meanwhile.
pub(super) type ClaimedRows = BTreeMap<RowKey, AppliedRow>;

/// Inserts the rows' keys in order (T3); loads what is there already: it was applied before.
pub(super) async fn claim(
    transaction: &mut Transaction,
    import: &[(ChunkId, &ImportRow)],
    ledger: &mut Ledger,
) -> Result<ClaimedRows, sqlx::Error> {
    // Of rows with one key the first is inserted. Should it be refused and a later one applied, saving corrects it.
    let mut first = ClaimedRows::new();
    for (chunk_id, row) in import {
        let claim = || AppliedRow { chunk_id: Some(*chunk_id), sku: row.sku.clone(), quantity: row.quantity };
        first.entry(row.key()).or_insert_with(claim);
    }
    let imports: Vec<&str> = first.keys().map(|(import_id, _)| import_id.as_str()).collect();
    let numbers: Vec<i64> = first.keys().map(|(_, row)| row_number(*row)).collect();
    let skus: Vec<&str> = first.values().map(|row| row.sku.as_str()).collect();
    let quantities: Vec<i64> = first.values().map(|row| row.quantity).collect();
    let chunks: Vec<Option<Uuid>> = first.values().map(|row| row.chunk_id.map(ChunkId::uuid)).collect();
    let claimed = sqlx::query!(
        r#"insert into imported_rows (import_id, row, sku, quantity, chunk_id)
           select import_id, row, sku, quantity, chunk_id
           from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::uuid[])
                as given (import_id, row, sku, quantity, chunk_id)
           order by import_id collate "C", row
           on conflict do nothing
           returning import_id, row"#,
        &imports as &[&str],
        &numbers,
        &skus as &[&str],
        &quantities,
        &chunks as &[Option<Uuid>],
    )
    .fetch_all(transaction.connection())
    .await?;
    let claimed: BTreeSet<RowKey> = claimed.into_iter().map(|claim| row_key(claim.import_id, claim.row)).collect();
    let (claimed, there): (ClaimedRows, ClaimedRows) = first.into_iter().partition(|(key, _)| claimed.contains(key));
    load(transaction, there.keys(), ledger).await?;
    Ok(claimed)
}

/// A statement of its own, after the claims: it sees what those who were waited for have committed.
async fn load(
    transaction: &mut Transaction,
    keys: impl Iterator<Item = &RowKey>,
    ledger: &mut Ledger,
) -> Result<(), sqlx::Error> {
    let (imports, numbers): (Vec<&str>, Vec<i64>) =
        keys.map(|(import_id, row)| (import_id.as_str(), row_number(*row))).unzip();
    if imports.is_empty() {
        return Ok(());
    }
    let rows = sqlx::query!(
        "select applied.import_id, applied.row, applied.sku, applied.quantity, applied.chunk_id
         from unnest($1::text[], $2::bigint[]) as given (import_id, row)
         join imported_rows as applied on applied.import_id = given.import_id and applied.row = given.row",
        &imports as &[&str],
        &numbers,
    )
    .fetch_all(transaction.connection())
    .await?;
    ledger.rows_applied.extend(rows.into_iter().map(|row| {
        let (sku, chunk_id) = (Sku::from_stored(row.sku), row.chunk_id.map(ChunkId::from_uuid));
        (row_key(row.import_id, row.row), AppliedRow { chunk_id, sku, quantity: row.quantity })
    }));
    Ok(())
}

/// Takes back the claims of rows that were refused, so that a corrected import may bring them again; corrects those whose
/// key was claimed by a row that was refused and used by a later one.
pub(super) async fn save(
    transaction: &mut Transaction,
    ledger: &Ledger,
    claimed: &ClaimedRows,
) -> Result<(), sqlx::Error> {
    let refused = claimed.keys().filter(|key| !ledger.rows_applied.contains_key(key));
    let (imports, numbers): (Vec<&str>, Vec<i64>) =
        refused.map(|(import_id, row)| (import_id.as_str(), row_number(*row))).unzip();
    if !imports.is_empty() {
        sqlx::query!(
            "delete from imported_rows
             using unnest($1::text[], $2::bigint[]) as refused (import_id, row)
             where imported_rows.import_id = refused.import_id and imported_rows.row = refused.row",
            &imports as &[&str],
            &numbers,
        )
        .execute(transaction.connection())
        .await?;
    }
    let applied = claimed.iter().filter_map(|(key, inserted)| Some((key, inserted, ledger.rows_applied.get(key)?)));
    let corrected: Vec<(&RowKey, &AppliedRow)> =
        applied.filter(|(_, inserted, applied)| inserted != applied).map(|(key, _, applied)| (key, applied)).collect();
    if corrected.is_empty() {
        return Ok(());
    }
    let imports: Vec<&str> = corrected.iter().map(|((import_id, _), _)| import_id.as_str()).collect();
    let numbers: Vec<i64> = corrected.iter().map(|((_, row), _)| row_number(*row)).collect();
    let skus: Vec<&str> = corrected.iter().map(|(_, row)| row.sku.as_str()).collect();
    let quantities: Vec<i64> = corrected.iter().map(|(_, row)| row.quantity).collect();
    let chunks: Vec<Option<Uuid>> = corrected.iter().map(|(_, row)| row.chunk_id.map(ChunkId::uuid)).collect();
    sqlx::query!(
        "update imported_rows
         set sku = new.sku, quantity = new.quantity, chunk_id = new.chunk_id
         from unnest($1::text[], $2::bigint[], $3::text[], $4::bigint[], $5::uuid[])
              as new (import_id, row, sku, quantity, chunk_id)
         where imported_rows.import_id = new.import_id and imported_rows.row = new.row",
        &imports as &[&str],
        &numbers,
        &skus as &[&str],
        &quantities,
        &chunks as &[Option<Uuid>],
    )
    .execute(transaction.connection())
    .await?;
    Ok(())
}

fn row_key(import_id: String, row: i64) -> RowKey {
    (ImportId::from_stored(import_id), row.unsigned_abs())
}

/// Number of a row in the database; the edge has made sure that it fits.
fn row_number(row: u64) -> i64 {
    i64::try_from(row).unwrap_or(i64::MAX)
}
