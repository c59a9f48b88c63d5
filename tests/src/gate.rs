//! Locks of the test's own, which make others wait in the middle of a transaction.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use sqlx::pool::PoolConnection;
use sqlx::{AssertSqlSafe, Executor as _, PgPool, Postgres};

use crate::waiting::eventually;

/// A transaction that holds a lock until it is opened.
#[derive(Debug)]
pub struct Gate {
    database: PgPool,
    holder: PoolConnection<Postgres>,
    process_id: i32,
}

impl Gate {
    /// Takes the locks of `statement`.
    ///
    /// # Panics
    /// When somebody else keeps holding them.
    pub async fn shut(database: PgPool, statement: &str) -> Self {
        let mut holder = database.acquire().await.expect("the database answers");
        holder.execute("begin").await.expect("the database answers");
        holder.execute(AssertSqlSafe(statement)).await.expect("the lock is granted in the end");
        let process_id =
            sqlx::query_scalar("select pg_backend_pid()").fetch_one(&mut *holder).await.expect("the database answers");
        Self { database, holder, process_id }
    }

    /// Freezes the first session that comes to wait for the lock, so that it does not even notice how long it waits.
    ///
    /// # Panics
    /// When none does within `limit`.
    pub async fn freezes_somebody(&self, limit: Duration) -> Frozen {
        eventually(limit, async || {
            let first = self.waiting().await?.first().copied().context("nobody waits for the lock")?;
            let frozen = Frozen::freeze(first);
            // It may have given up in the moment between.
            ensure!(self.waiting().await?.contains(&first), "{first} gave up");
            Ok(frozen)
        })
        .await
    }

    /// Lets everyone through.
    ///
    /// # Panics
    /// When the database is gone.
    pub async fn open(mut self) {
        self.holder.execute("commit").await.expect("the database answers");
    }

    /// Process ids of the sessions that wait for the lock.
    async fn waiting(&self) -> Result<Vec<i32>> {
        let waiting = sqlx::query_scalar("select pid from pg_stat_activity where $1 = any(pg_blocking_pids(pid))");
        Ok(waiting.bind(self.process_id).fetch_all(&self.database).await?)
    }
}

/// A session's process that stands still as long as this value lives.
#[derive(Debug)]
pub struct Frozen(Pid);

impl Frozen {
    fn freeze(process_id: i32) -> Self {
        let pid = Pid::from_raw(process_id).expect("a process id is positive");
        kill_process(pid, Signal::STOP).expect("the server is ours");
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // It may have ended.
        kill_process(self.0, Signal::CONT).ok();
    }
}
