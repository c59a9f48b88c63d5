use std::time::Duration;

use postgres::Database;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

/// The key of the advisory lock; the database is the service's own, so one number does.
pub(crate) const LOCK: i64 = 0x6f75_7462_6f78;
/// `application_name` of the session that holds it.
pub(crate) const APPLICATION: &str = "relay-leadership";
/// Between two tries to become the leader.
const CANDIDATE_INTERVAL: Duration = Duration::from_millis(500);
/// Between two signs of life of the leader. The server ends a session that is silent for longer than [`SILENCE`].
const PING_INTERVAL: Duration = Duration::from_secs(1);
/// `idle_session_timeout`: after this a frozen leader is no leader any more.
const SILENCE: &str = "5s";
/// A statement on the lock's session that takes longer than this counts as a lost session.
const PATIENCE: Duration = Duration::from_secs(2);

/// Being the one relay of this database: a session that holds an advisory lock and is kept talking (R3). A leader that
/// freezes stops talking, its session ends, and the lock is another's. What it then still sends are duplicates.
pub(super) struct Leadership {
    session: PgConnection,
}

impl Leadership {
    /// Waits until this process leads; `None` when stopped before.
    pub(super) async fn acquire(database: &Database, stop: &CancellationToken) -> Option<Self> {
        let mut session: Option<PgConnection> = None;
        loop {
            let candidate = async {
                let mut connected = match session.take() {
                    Some(connected) => connected,
                    None => connect(database).await?,
                };
                let granted = sqlx::query_scalar!(r#"select pg_try_advisory_lock($1) as "granted!""#, LOCK)
                    .fetch_one(&mut connected)
                    .await?;
                Ok::<_, sqlx::Error>((connected, granted))
            };
            match tokio::time::timeout(PATIENCE, candidate).await {
                Ok(Ok((session, true))) => return Some(Self { session }),
                Ok(Ok((connected, false))) => session = Some(connected),
                // A database that is away is said by its own probe; here the next try does.
                Ok(Err(_)) | Err(_) => session = None,
            }
            tokio::select! {
                () = stop.cancelled() => return None,
                () = tokio::time::sleep(CANDIDATE_INTERVAL) => {}
            }
        }
    }

    /// Keeps the session talking; returns when leadership is lost.
    pub(super) async fn lost(&mut self) {
        loop {
            tokio::time::sleep(PING_INTERVAL).await;
            let ping = tokio::time::timeout(PATIENCE, self.session.ping());
            if !matches!(ping.await, Ok(Ok(()))) {
                return;
            }
        }
    }

    /// Ends the session, and leadership with it, so that another can lead at once.
    pub(super) async fn release(self) {
        let closed = tokio::time::timeout(PATIENCE, self.session.close()).await;
        if !matches!(closed, Ok(Ok(()))) {
            tracing::debug!("the leader's session did not close in time; the server ends it");
        }
    }
}

async fn connect(database: &Database) -> Result<PgConnection, sqlx::Error> {
    let session = database.unlimited_session().application_name(APPLICATION);
    let session = session.options([("idle_session_timeout", SILENCE)]);
    PgConnection::connect_with(&session).await
}
