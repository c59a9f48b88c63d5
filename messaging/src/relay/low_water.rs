use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use runtime::faults::{self, Mistake};
use tokio::time::Instant;

use super::message::Row;
use super::table::{PREPARED, Table};

/// Between two tries to raise the mark: as long as this, twice, rows that were deleted are still walked past.
const RAISE_INTERVAL: Duration = Duration::from_millis(250);
/// Between two reads from the lowest id there is.
const WHOLE_INTERVAL: Duration = Duration::from_secs(10);
/// Below every id.
const BOTTOM: i64 = i64::MIN;

/// The id below which no row is left and none will come: reads begin there (R6).
///
/// Deleted rows stay in the index as long as any session has a snapshot in which they are there. A read from the lowest id
/// walks past all of them, each time; under a long foreign transaction (a dump, a report, a session that somebody forgot)
/// that is everything that was published since it began.
///
/// **Why this is no cursor (R1).** A cursor would stand where reading has come to, and a transaction that drew a lower id
/// and commits late would be behind it. The mark is proven:
///
/// 1. `drawn` is the highest id that was read so far: every id up to it has been drawn, one by one (CACHE 1).
/// 2. Then the server is asked which transactions hold the lock that an INSERT takes on the table. It is taken before the id
///    is drawn and given back after the end has become visible to everybody. So whoever drew an id up to `drawn` is among
///    those holders, or had ended before they were looked at.
/// 3. Once none of those holders is left, every id up to `drawn` belongs to a transaction that has ended.
/// 4. The lowest row that is found after that, by a statement of its own and hence in a new snapshot, is the new mark, or
///    `drawn + 1` if that is less.
///
/// Only who writes into the outbox can hold the mark up, neither a reader nor a writer of other tables, however long.
///
/// A prepared transaction can't be told from the one that it was before, so while one holds the lock nothing is raised.
///
/// **And if it were wrong** (a row inserted by hand with an old id, a sequence that was set back), an event would be late and
/// not lost: each leader and each new producer starts from the lowest id, and so does one read every ten seconds, which sets
/// the mark back if it finds something.
pub(super) struct LowWater {
    mark: i64,
    shown: ShownMark,
    /// The highest id that was read.
    drawn: i64,
    waiting: Option<Waiting>,
    next_raise: Instant,
    next_whole: Instant,
}

/// The mark of the relay that leads in this process, for others of its tasks who look into the outbox. They may miss what
/// the relay has not found either.
#[derive(Clone, Debug)]
pub(super) struct ShownMark(Arc<AtomicI64>);

impl ShownMark {
    pub(super) fn new() -> Self {
        Self(Arc::new(AtomicI64::new(BOTTOM)))
    }

    pub(super) fn get(&self) -> i64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// Step 3: for the end of whom, to raise the mark up to what.
struct Waiting {
    writers: BTreeSet<String>,
    drawn: i64,
}

impl LowWater {
    pub(super) fn new(shown: ShownMark) -> Self {
        let now = Instant::now();
        shown.0.store(BOTTOM, Ordering::Relaxed);
        Self { mark: BOTTOM, shown, drawn: 0, waiting: None, next_raise: now, next_whole: now + WHOLE_INTERVAL }
    }

    /// The id from which to read now. Raises the mark when it is time to; a database that is away raises nothing.
    pub(super) async fn begin(&mut self, table: &Table) -> Result<i64, sqlx::Error> {
        let now = Instant::now();
        if now >= self.next_whole && !faults::makes(Mistake::IdAboveCursor) {
            self.next_whole = now + WHOLE_INTERVAL;
            return Ok(BOTTOM);
        }
        if now >= self.next_raise && self.drawn >= self.mark {
            self.next_raise = now + RAISE_INTERVAL;
            self.raise(table).await?;
        }
        Ok(self.mark)
    }

    /// Takes note of rows that were read, by id.
    pub(super) fn saw(&mut self, rows: &[Row]) {
        let (Some(first), Some(last)) = (rows.first(), rows.last()) else { return };
        if first.id >= self.mark {
            self.drawn = self.drawn.max(last.id);
            if faults::makes(Mistake::IdAboveCursor) {
                self.set(last.id + 1);
            }
            return;
        }
        tracing::warn!(
            outbox.id = first.id,
            outbox.mark = self.mark,
            "a row came into the outbox with an id that was passed"
        );
        // The mark was raised by an id that no writer had drawn, or the sequence was set back: what was known is void.
        (self.drawn, self.waiting) = (last.id, None);
        self.set(first.id);
    }

    async fn raise(&mut self, table: &Table) -> Result<(), sqlx::Error> {
        // In this order: see 1 and 2.
        let drawn = self.drawn;
        let writers: BTreeSet<String> = table.writers().await?.into_iter().collect();
        match self.waiting.take() {
            Some(waiting) if writers.contains(PREPARED) || !waiting.writers.is_disjoint(&writers) => {
                self.waiting = Some(waiting);
            }
            Some(waiting) => {
                let left = table.lowest_from(self.mark).await?;
                self.set(left.map_or(waiting.drawn + 1, |lowest| lowest.min(waiting.drawn + 1)));
                self.waiting = Some(Waiting { writers, drawn });
            }
            None => self.waiting = Some(Waiting { writers, drawn }),
        }
        Ok(())
    }

    fn set(&mut self, mark: i64) {
        self.mark = mark;
        self.shown.0.store(mark, Ordering::Relaxed);
    }
}
