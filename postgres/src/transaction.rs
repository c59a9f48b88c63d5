use std::future::Future;
use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;
use sqlx::pool::PoolConnection;
use sqlx::{Executor as _, PgConnection, Postgres};

use crate::Database;
use crate::sqlstate::{self, Verdict};

/// Beyond this a silent connection is given up: longer than a statement may run, and the only thing that notices a
/// half-open connection, through which the server's own time-outs can't be heard.
const SILENCE: Duration = Duration::from_secs(10);

/// Proof of being inside a transaction: only this crate makes one, and only between BEGIN and COMMIT. What must commit
/// together with something else (an outbox row, a consumer's position) asks for this instead of a connection.
///
/// Dropped before its end it takes its connection along, so that the server rolls back and the pool never hands out a
/// connection that is inside somebody's transaction.
#[derive(Debug)]
pub struct Transaction {
    connection: PoolConnection<Postgres>,
    ended: bool,
}

/// Why a transaction has no result.
#[derive(Debug, thiserror::Error)]
pub enum TransactionError {
    /// It was certainly not committed.
    #[error("the transaction was rolled back")]
    RolledBack(#[source] sqlx::Error),
    /// COMMIT was sent and its answer never came: it may have been committed or not (T4).
    #[error("the connection broke while committing")]
    InDoubt(#[source] sqlx::Error),
}

impl Transaction {
    /// The connection that the transaction is open on, to run statements with.
    pub fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Commits.
    ///
    /// # Errors
    /// [`TransactionError::InDoubt`] when no answer came; otherwise it was rolled back.
    pub async fn commit(mut self) -> Result<(), TransactionError> {
        match contained(self.connection.execute("COMMIT")).await {
            Ok(_) => {
                self.ended = true;
                Ok(())
            }
            Err(error) => Err(commit_failed(error)),
        }
    }

    /// Rolls back because of `error`, and says so.
    pub async fn roll_back(mut self, error: sqlx::Error) -> TransactionError {
        if sqlstate::verdict(&error) != Verdict::Away {
            self.ended = contained(self.connection.execute("ROLLBACK")).await.is_ok();
        }
        TransactionError::RolledBack(error)
    }
}

impl Drop for Transaction {
    fn drop(&mut self) {
        if !self.ended {
            self.connection.close_on_drop();
        }
    }
}

impl TransactionError {
    /// What to do about it; `None` while it is in doubt whether the transaction was committed.
    #[must_use]
    pub fn verdict(&self) -> Option<Verdict> {
        match self {
            Self::RolledBack(error) => Some(sqlstate::verdict(error)),
            Self::InDoubt(_) => None,
        }
    }
}

impl Database {
    /// Begins a transaction on the write pool. For tasks and threads that nobody cancels (T7): the writer and consumers.
    /// A request handler is dropped when its caller gives up, so it hands a command to the [writer](crate::writer) instead.
    ///
    /// # Errors
    /// [`TransactionError::RolledBack`]: there is nothing to roll back yet.
    pub async fn begin(&self) -> Result<Transaction, TransactionError> {
        // After a restart of the server every connection of the pool is dead, and each finds out for itself: nothing was
        // sent yet, so the next one may try.
        let mut dead_connections = 0;
        loop {
            let connection = self.writes().acquire().await.map_err(TransactionError::RolledBack)?;
            let mut transaction = Transaction { connection, ended: false };
            let Err(error) = contained(transaction.connection.execute("BEGIN")).await else { return Ok(transaction) };
            let may_go_on = sqlstate::verdict(&error) == Verdict::Away && dead_connections < self.writes().size();
            if !may_go_on {
                return Err(TransactionError::RolledBack(error));
            }
            dead_connections += 1;
        }
    }
}

/// An error that the server answered COMMIT with is an answer, unless it says that the server is going away. Anything else
/// leaves it open.
fn commit_failed(error: sqlx::Error) -> TransactionError {
    match (&error, sqlstate::verdict(&error)) {
        (sqlx::Error::Database(_), Verdict::Again | Verdict::Command | Verdict::Bug) => {
            TransactionError::RolledBack(error)
        }
        _ => TransactionError::InDoubt(error),
    }
}

/// Runs work with the database so that neither silence nor a panic gets out: a half-open connection, which the server's
/// own time-outs can't be heard through, becomes an I/O error; a panic over one record's data becomes that record's own
/// fault, where it would otherwise take the process down, again after each restart.
///
/// # Errors
/// Those of `work`, and these two.
pub async fn contained<T>(work: impl Future<Output = Result<T, sqlx::Error>>) -> Result<T, sqlx::Error> {
    // What a panic leaves half-done is in a transaction that is rolled back, or in a connection that is given up.
    match tokio::time::timeout(SILENCE, AssertUnwindSafe(work).catch_unwind()).await {
        Ok(Ok(result)) => result,
        Ok(Err(_)) => Err(sqlx::Error::Encode("the code that handles it panicked".into())),
        Err(_) => {
            let silent = std::io::Error::new(std::io::ErrorKind::TimedOut, "the database did not answer in time");
            Err(sqlx::Error::Io(silent))
        }
    }
}
