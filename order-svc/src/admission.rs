//! Whether new orders are taken: overload must not become a backlog (O5).
//!
//! Completions go before placements in the writer's queue, so that overload alone leaves nothing half done. What does pile
//! up is work that somebody else is needed for: PENDING orders while inventory is away, events while Kafka is. Up to a
//! limit that is what the queues are for; beyond it new orders are refused, and those that are there come first.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use postgres::{Database, contained};
use runtime::tasks::TaskGroup;
use tokio::time::Instant;

/// Shortest time between two looks.
const INTERVAL: Duration = Duration::from_secs(1);
/// After a look, at least this many times as long as it took: under a long foreign transaction the outbox's lowest row is
/// behind everything that was deleted since.
const REST: u32 = 100;

/// What may pile up.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Orders that are PENDING, or final with their stock unsettled.
    pub unfinished_orders: u32,
    /// Age of the oldest event that waits to be published.
    pub outbox_age: Duration,
}

/// Says whether new orders are taken. Cheap to clone.
#[derive(Clone, Debug, Default)]
pub struct Admission {
    refusing: Arc<AtomicBool>,
}

impl Admission {
    /// Spawns the task that looks once a second or less often. Until the database answers, everything is admitted.
    #[must_use]
    pub fn watch(database: Database, limits: Limits, tasks: &TaskGroup) -> Self {
        let (admission, stop) = (Self::default(), tasks.stop_token());
        let watched = admission.clone();
        tasks.spawn("admission", async move {
            let mut pause = INTERVAL;
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                    () = tokio::time::sleep(pause) => {}
                }
                let begun = Instant::now();
                watched.look(&database, limits).await;
                pause = INTERVAL.max(begun.elapsed() * REST);
            }
        });
        admission
    }

    /// Whether new orders are refused for now.
    #[must_use]
    pub fn is_refusing(&self) -> bool {
        self.refusing.load(Ordering::Relaxed)
    }

    async fn look(&self, database: &Database, limits: Limits) {
        let most = i64::from(limits.unfinished_orders);
        // Counted up to the limit: how far beyond it nobody needs to know, and counting costs more and more.
        let look = sqlx::query!(
            r#"select (select count(*) from (select 1 from unfinished_orders limit $1::bigint + 1) as head) as "unfinished!",
                      coalesce(
                          (select extract(epoch from clock_timestamp() - event_times[1]) from outbox order by id limit 1), 0
                      )::float8 as "age!""#,
            most,
        );
        // A database that is away is said elsewhere, and takes no orders anyway.
        let Ok(found) = contained(look.fetch_one(database.reads())).await else { return };
        let refuse = found.unfinished > most || found.age > limits.outbox_age.as_secs_f64();
        if self.refusing.swap(refuse, Ordering::Relaxed) == refuse {
            return;
        }
        let (unfinished_orders, outbox_age_seconds) = (found.unfinished, found.age);
        if refuse {
            tracing::warn!(unfinished_orders, outbox_age_seconds, "too much is unfinished: new orders are refused");
        } else {
            tracing::info!(unfinished_orders, outbox_age_seconds, "new orders are taken again");
        }
    }
}
