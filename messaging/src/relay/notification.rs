//! Waking the relay that leads in another replica (R5).
//!
//! A replica that does not lead sends NOTIFY after its commits: alone, because inside a transaction it takes a lock of the
//! whole cluster over the commit's fsync; and one for all commits of a moment. It may get lost; the leader looks at the
//! table every now and then anyway.

use std::convert::Infallible;
use std::time::Duration;

use postgres::{Database, contained};
use runtime::tasks::TaskGroup;
use sqlx::postgres::{PgListener, PgPoolOptions};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::RelayWaker;

/// The name is the database's own.
const CHANNEL: &str = "outbox";
/// Between two of them.
const MOMENT: Duration = Duration::from_millis(10);
/// Pause before the leader tries to listen again.
const BACK_OFF: Duration = Duration::from_secs(1);

/// Tells the leader, whoever that is, each time that `waker` is woken. Never returns; may be dropped at any moment.
pub(super) async fn tell_the_leader(database: &Database, waker: &RelayWaker) -> Infallible {
    loop {
        waker.0.notified().await;
        // Nor does anybody wait for the disk: a notification that a crash takes along is one that the leader did not need.
        let notify = sqlx::query!(
            "with unsynced as materialized (select set_config('synchronous_commit', 'off', true))
             select pg_notify($1, '') from unsynced",
            CHANNEL,
        );
        if let Err(error) = contained(notify.execute(database.writes())).await {
            tracing::debug!(%error, "the leading relay was not told; it looks by itself");
        }
        tokio::time::sleep(MOMENT).await;
    }
}

/// Spawns the task that wakes this replica's relay when another replica has committed, as long as this one leads.
pub(super) fn listen(
    database: Database,
    waker: RelayWaker,
    mut leading: watch::Receiver<bool>,
    stop: CancellationToken,
    tasks: &TaskGroup,
) {
    tasks.spawn("relay-notifications", async move {
        let listening = async {
            while leading.wait_for(|leads| *leads).await.is_ok() {
                let led = tokio::select! {
                    broken = wake_on_notification(&database, &waker) => broken,
                    _ = leading.wait_for(|leads| !*leads) => continue,
                };
                if let Err(error) = led {
                    tracing::debug!(%error, "the relay does not hear of other replicas' commits; it looks by itself");
                    tokio::time::sleep(BACK_OFF).await;
                }
            }
        };
        tokio::select! {
            () = stop.cancelled() => {}
            () = listening => {}
        }
        Ok::<(), Infallible>(())
    });
}

async fn wake_on_notification(database: &Database, waker: &RelayWaker) -> Result<(), sqlx::Error> {
    let session = database.unlimited_session().application_name("relay-notifications");
    let own = PgPoolOptions::new().max_connections(1).connect_lazy_with(session);
    let mut listener = PgListener::connect_with(&own).await?;
    listener.listen(CHANNEL).await?;
    loop {
        // What was committed before it listened, or while it was cut off, woke nobody.
        waker.wake();
        listener.recv().await?;
    }
}
