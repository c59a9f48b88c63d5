use std::sync::Arc;
use std::time::Duration;

use observability::names;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection as _, PgConnection, PgPool};

use crate::DatabaseSettings;

/// Connections of the write pool beside the writer's own: one each for the consumer, the relay, the sweep and one more.
const BACKGROUND_CONNECTIONS: u32 = 4;
/// How long one waits for a connection before the database counts as away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(2);
/// A connection that was idle for longer is asked whether it still answers before it is used.
const RESTED: Duration = Duration::from_secs(1);
/// How long a connection that comes back to its pool may take to answer before it is given up.
const RELEASE_TIMEOUT: Duration = Duration::from_secs(2);

/// A service's database: a pool for reads, and one for transactions, so that neither can starve the other. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Database {
    reads: PgPool,
    writes: PgPool,
    settings: Arc<DatabaseSettings>,
}

impl Database {
    /// Makes the pools without connecting: a service starts whether its database is there or not.
    #[must_use]
    pub fn connect_lazily(settings: DatabaseSettings, application_name: &str) -> Self {
        let connect = session(&settings, application_name);
        let pool = |connections| {
            PgPoolOptions::new()
                .max_connections(connections)
                .acquire_timeout(ACQUIRE_TIMEOUT)
                // Not on every acquire, which would cost a round trip: only a connection that rested may have broken unseen.
                .test_before_acquire(false)
                .before_acquire(|connection, rested| {
                    Box::pin(async move { Ok(rested.idle_for < RESTED || still_answers(connection).await.is_ok()) })
                })
                // sqlx pings what comes back, without a time-out and while holding its place in the pool.
                .after_release(|connection, _| Box::pin(async move { still_answers(connection).await.map(|()| true) }))
                .connect_lazy_with(connect.clone())
        };
        Self {
            reads: pool(settings.read_connections),
            writes: pool(settings.write_connections + BACKGROUND_CONNECTIONS),
            settings: Arc::new(settings),
        }
    }

    /// The pool for reads outside any transaction.
    #[must_use]
    pub fn reads(&self) -> &PgPool {
        &self.reads
    }

    /// The pool for transactions, and for the single statements of the relay and the sweep.
    #[must_use]
    pub fn writes(&self) -> &PgPool {
        &self.writes
    }

    /// The settings that it was made from.
    #[must_use]
    pub fn settings(&self) -> &DatabaseSettings {
        &self.settings
    }

    /// Connection options without the limits of a request's session, for migrations and for locks that are held long.
    #[must_use]
    pub fn unlimited_session(&self) -> PgConnectOptions {
        self.settings.connect.clone()
    }

    /// Brings the gauges of both pools up to date.
    pub(crate) fn count_connections(&self) {
        for (name, pool) in [("reads", &self.reads), ("writes", &self.writes)] {
            let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
            // The two are read one after the other.
            let used = pool.size().saturating_sub(idle);
            for (state, connections) in [("idle", idle), ("used", used)] {
                metrics::gauge!(
                    names::DB_CONNECTIONS,
                    "db_client_connection_pool_name" => name,
                    "db_client_connection_state" => state,
                )
                .set(connections);
            }
            metrics::gauge!(names::DB_CONNECTIONS_MAX, "db_client_connection_pool_name" => name)
                .set(pool.options().get_max_connections());
        }
    }

    /// Closes both pools, waiting for connections in use.
    pub async fn close(&self) {
        self.writes.close().await;
        self.reads.close().await;
    }
}

/// Every session defends the database against us (T6, T7): no statement or lock wait without end, no transaction left
/// open, no half-open connection kept.
fn session(settings: &DatabaseSettings, application_name: &str) -> PgConnectOptions {
    let statement_timeout = format!("{}ms", settings.statement_timeout.as_millis());
    settings.connect.clone().application_name(application_name).options([
        ("statement_timeout", statement_timeout.as_str()),
        ("lock_timeout", "200ms"),
        ("idle_in_transaction_session_timeout", "10s"),
        ("tcp_keepalives_idle", "10"),
        ("tcp_keepalives_interval", "5"),
        ("tcp_keepalives_count", "3"),
    ])
}

async fn still_answers(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    match tokio::time::timeout(RELEASE_TIMEOUT, connection.ping()).await {
        Ok(answered) => answered,
        Err(_) => Err(sqlx::Error::Io(std::io::ErrorKind::TimedOut.into())),
    }
}
