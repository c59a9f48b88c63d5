//! What the outbox is like at a moment.

use std::time::Instant;

use anyhow::{Context as _, Result};
use serde::Serialize;
use sqlx::{Executor as _, PgConnection};

/// Bytes of a megabyte.
const MEGABYTE: f64 = 1e6;

/// Size and decay of the outbox.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct TableState {
    /// With its indexes and what is kept outside of its rows.
    megabytes: f64,
    pub(super) dead_rows: i64,
    /// A look for the first row from the lowest id on, while there is none: what walks past everything that is dead.
    look_milliseconds: f64,
}

impl TableState {
    pub(super) async fn look(connection: &mut PgConnection) -> Result<Self> {
        let size = "select pg_total_relation_size('outbox')::float8, n_dead_tup from pg_stat_user_tables
                    where relid = 'outbox'::regclass";
        let (bytes, dead_rows): (f64, i64) =
            sqlx::query_as(size).fetch_one(&mut *connection).await.context("the outbox' size")?;
        // As who looks for the first row; reading the table would pass its dead rows in another way.
        connection.execute("set enable_seqscan = off").await?;
        let begun = Instant::now();
        connection.execute("select id from outbox order by id limit 1").await?;
        let look_milliseconds = begun.elapsed().as_secs_f64() * 1_000.0;
        connection.execute("reset enable_seqscan").await?;
        Ok(Self { megabytes: bytes / MEGABYTE, dead_rows, look_milliseconds })
    }

    /// Cells of a table: size, dead rows, the look.
    pub(super) fn cells(&self) -> [String; 3] {
        [format!("{:.0}", self.megabytes), self.dead_rows.to_string(), format!("{:.1}", self.look_milliseconds)]
    }
}

/// Entries of the outbox' index that have been read so far, those of dead rows too.
pub(super) async fn index_entries(connection: &mut PgConnection) -> Result<f64> {
    let read = "select idx_tup_read::float8 from pg_stat_user_indexes where indexrelid = 'outbox_pkey'::regclass";
    sqlx::query_scalar(read).fetch_one(connection).await.context("the index' statistics")
}
