use postgres::WriteError;
use uuid::Uuid;

use super::Inventory;
use crate::domain::import::{ChunkId, ImportRow};
use crate::domain::ledger::{Command, Outcome, RowOutcome};

/// Rows that are committed together: large enough to be fast, small enough that nobody waits long for their locks.
const CHUNK: usize = 200;
/// Bad rows that are described; the others are only counted.
const DESCRIBED: usize = 100;

/// A row that was left out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BadRow {
    /// Its number, as given.
    pub row: u64,
    /// Stable code.
    pub reason: &'static str,
    /// For people.
    pub message: String,
}

/// What became of an import so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ImportSummary {
    /// Rows that came.
    pub received: u64,
    /// Rows applied by this call.
    pub applied: u64,
    /// Rows that an earlier call, or an earlier row of this one, had applied.
    pub already_applied: u64,
    /// Rows left out.
    pub rejected: u64,
    /// The first of those.
    pub bad_rows: Vec<BadRow>,
}

/// An import on its way: rows go in one by one and are committed in chunks. While a chunk commits no row is taken, which
/// holds the sender back.
#[derive(Debug)]
pub struct Import {
    inventory: Inventory,
    chunk: Vec<ImportRow>,
    summary: ImportSummary,
}

impl Import {
    pub(super) fn new(inventory: Inventory) -> Self {
        Self { inventory, chunk: Vec::with_capacity(CHUNK), summary: ImportSummary::default() }
    }

    /// Takes a row; commits when a chunk is full.
    ///
    /// # Errors
    /// [`WriteError`]: the chunk was certainly not written, chunks before it are. The same import may be sent again.
    pub async fn row(&mut self, row: ImportRow) -> Result<(), WriteError> {
        self.summary.received += 1;
        self.chunk.push(row);
        if self.chunk.len() == CHUNK { self.commit().await } else { Ok(()) }
    }

    /// Counts a row that can't be one.
    pub fn bad_row(&mut self, bad: BadRow) {
        self.summary.received += 1;
        self.leave_out(bad);
    }

    /// Commits what is left and says what became of all rows.
    ///
    /// # Errors
    /// As [`Import::row`].
    pub async fn finish(mut self) -> Result<ImportSummary, WriteError> {
        self.commit().await?;
        Ok(self.summary)
    }

    async fn commit(&mut self) -> Result<(), WriteError> {
        if self.chunk.is_empty() {
            return Ok(());
        }
        let rows = std::mem::take(&mut self.chunk);
        let numbers: Vec<u64> = rows.iter().map(|row| row.row).collect();
        let chunk_id = ChunkId::from_uuid(Uuid::now_v7());
        let outcome = self.inventory.write(Command::Import { chunk_id, rows }).await?;
        let Outcome::Imported(outcomes) = outcome else {
            tracing::error!(?outcome, "an import was answered with something else");
            return Err(WriteError::Refused);
        };
        for (row, outcome) in numbers.into_iter().zip(outcomes) {
            match outcome {
                RowOutcome::Applied => self.summary.applied += 1,
                RowOutcome::AlreadyApplied => self.summary.already_applied += 1,
                RowOutcome::Refused(refusal) => {
                    self.leave_out(BadRow { row, reason: refusal.as_str(), message: refusal.message().to_owned() });
                }
            }
        }
        Ok(())
    }

    fn leave_out(&mut self, bad: BadRow) {
        self.summary.rejected += 1;
        if self.summary.bad_rows.len() < DESCRIBED {
            self.summary.bad_rows.push(bad);
        }
    }
}
