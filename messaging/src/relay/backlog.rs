use std::convert::Infallible;
use std::time::Duration;

use observability::names;
use postgres::{Database, contained};
use runtime::tasks::TaskGroup;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::low_water::ShownMark;

const INTERVAL: Duration = Duration::from_secs(1);
/// Rows are counted up to here: beyond it the exact number tells nobody anything, and counting costs more and more.
const COUNTED: i64 = 100_000;

/// Spawns the task that keeps the gauges of what waits in the outbox: the leader's view; 0 from everyone else, so that a
/// sum is right. A task of its own, because the relay is busiest when the gauges matter most.
pub(super) fn watch(
    database: Database,
    leading: watch::Receiver<bool>,
    mark: ShownMark,
    stop: CancellationToken,
    tasks: &TaskGroup,
) {
    tasks.spawn("outbox-gauges", async move {
        loop {
            if *leading.borrow() {
                measure(&database, mark.get()).await;
            } else {
                set(0, 0.0);
            }
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
        set(0, 0.0);
        Ok::<(), Infallible>(())
    });
}

async fn measure(database: &Database, mark: i64) {
    let look = sqlx::query!(
        r#"select coalesce((select sum(events) from (select events from outbox where id >= $2 order by id limit $1) as head), 0)::bigint as "pending!",
                  coalesce(
                      (select extract(epoch from clock_timestamp() - event_times[1]) from outbox where id >= $2 order by id limit 1), 0
                  )::float8 as "age!""#,
        COUNTED,
        mark,
    );
    // A database that is away is said elsewhere; the gauges keep what they had.
    if let Ok(row) = contained(look.fetch_one(database.reads())).await {
        set(row.pending, row.age.max(0.0));
    }
}

fn set(pending: i64, age: f64) {
    metrics::gauge!(names::OUTBOX_PENDING_MESSAGES).set(f64::from(i32::try_from(pending).unwrap_or(i32::MAX)));
    metrics::gauge!(names::OUTBOX_OLDEST_MESSAGE_AGE).set(age);
}
