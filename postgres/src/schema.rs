//! What a service's database lacks of its schema, for tools that look and change nothing.

use std::collections::BTreeSet;

use sqlx::PgConnection;
use sqlx::migrate::{Migrate as _, MigrateError, Migrator};

/// The migrations of `migrator` that the database does not have, by number and name; one that was begun and failed
/// counts as missing. Those of a newer program are none of our business.
///
/// # Errors
/// The database does not answer.
pub async fn missing_migrations(
    connection: &mut PgConnection,
    migrator: &Migrator,
) -> Result<Vec<String>, MigrateError> {
    let table = &*migrator.table_name;
    let exists: bool = sqlx::query_scalar("select to_regclass($1) is not null")
        .bind(table)
        .fetch_one(&mut *connection)
        .await
        .map_err(MigrateError::Execute)?;
    let mut applied = BTreeSet::new();
    if exists {
        applied.extend(connection.list_applied_migrations(table).await?.into_iter().map(|applied| applied.version));
        if let Some(broken_off) = connection.dirty_version(table).await? {
            applied.remove(&broken_off);
        }
    }
    let missing = migrator.iter().filter(|migration| !applied.contains(&migration.version));
    Ok(missing.map(|migration| format!("{:04} {}", migration.version, migration.description)).collect())
}
