use std::time::{Duration, Instant};

use observability::names;
use postgres::Database;

const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the gauges of what waits in the outbox: the leader's view; 0 from everyone else, so that a sum is right.
pub(super) struct Backlog {
    database: Database,
    due: Instant,
}

impl Backlog {
    pub(super) fn new(database: Database) -> Self {
        Self { database, due: Instant::now() }
    }

    /// Looks at the table, at most once a second.
    pub(super) async fn measure(&mut self) {
        if Instant::now() < self.due {
            return;
        }
        self.due = Instant::now() + INTERVAL;
        let looked = sqlx::query!(
            r#"select count(*) as "pending!",
                      coalesce(extract(epoch from clock_timestamp() - min(event_time)), 0)::float8 as "age!"
               from outbox"#
        )
        .fetch_one(self.database.reads())
        .await;
        // A database that is away is said elsewhere; the gauges keep what they had.
        if let Ok(row) = looked {
            metrics::gauge!(names::OUTBOX_PENDING_MESSAGES).set(count(row.pending));
            metrics::gauge!(names::OUTBOX_OLDEST_MESSAGE_AGE).set(row.age.max(0.0));
        }
    }
}

/// Says 0: another replica leads, or none.
pub(super) fn forget() {
    metrics::gauge!(names::OUTBOX_PENDING_MESSAGES).set(0.0);
    metrics::gauge!(names::OUTBOX_OLDEST_MESSAGE_AGE).set(0.0);
}

/// A gauge's number; exact up to 2^53 rows.
#[expect(clippy::cast_precision_loss, reason = "an outbox of 2^53 rows has other problems")]
fn count(rows: i64) -> f64 {
    rows as f64
}
