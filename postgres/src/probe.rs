use std::convert::Infallible;
use std::time::Duration;

use runtime::health::{Health, Impact};
use runtime::tasks::TaskGroup;
use sqlx::migrate::Migrator;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Connection as _, PgConnection};
use tokio_util::sync::CancellationToken;

use crate::Database;

/// Between two looks at the database.
const INTERVAL: Duration = Duration::from_secs(1);
/// A look that takes longer counts as a database that is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// A look that fails once is no outage: a restart of the pool's connections would make the whole service flap.
const FAILURES_BEFORE_DOWN: u32 = 2;

impl Database {
    /// Spawns the task that migrates the database as soon as it is there (one starter at a time: sqlx holds an advisory
    /// lock) and then keeps looking at it. Health follows: components `database` and `migrations`, both required.
    /// The returned token is cancelled once the schema is in place: what needs tables waits for it.
    #[must_use]
    pub fn watch(&self, mut migrator: Migrator, health: &Health, tasks: &TaskGroup) -> CancellationToken {
        // An older binary beside a newer one finds migrations that it does not know: they only ever add (expand, then
        // contract), so it goes on.
        migrator.set_ignore_missing(true);
        let ready = CancellationToken::new();
        let database_health = health.component("database", Impact::Required);
        let migrations_health = health.component("migrations", Impact::Required);
        let (database, announced, stop) = (self.clone(), ready.clone(), tasks.stop_token());
        tasks.spawn("database-probe", async move {
            let mut failures = FAILURES_BEFORE_DOWN;
            let mut ticks = tokio::time::interval(INTERVAL);
            ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                    _ = ticks.tick() => {}
                }
                database.count_connections();
                // Migrations may take long and are not to be cut short; a look may not.
                let looked = if announced.is_cancelled() {
                    let look = tokio::time::timeout(PATIENCE * 2, database.answers());
                    look.await.unwrap_or_else(|_| Err("no answer".to_owned()))
                } else {
                    database.migrate(&migrator).await
                };
                match looked {
                    Ok(()) => {
                        failures = 0;
                        database_health.up();
                        migrations_health.up();
                        announced.cancel();
                    }
                    Err(problem) => {
                        failures += 1;
                        if failures >= FAILURES_BEFORE_DOWN {
                            database_health.down(format!("{}: {problem}", database.settings().address()));
                        }
                    }
                }
            }
        });
        ready
    }

    async fn migrate(&self, migrator: &Migrator) -> Result<(), String> {
        self.connects().await?;
        // A pool of its own: migrations may take longer than a request's session allows.
        let pool = PgPoolOptions::new().max_connections(1).acquire_timeout(PATIENCE);
        let pool = pool.connect_with(self.unlimited_session()).await.map_err(|error| error.to_string())?;
        let migrated = migrator.run(&pool).await;
        pool.close().await;
        migrated.map_err(|error| format!("migration failed: {error}"))
    }

    async fn answers(&self) -> Result<(), String> {
        let answer: Result<i32, sqlx::Error> = sqlx::query_scalar("select 1").fetch_one(self.reads()).await;
        match answer {
            Ok(_) => Ok(()),
            // A pool says only that it has no connection to give, not why.
            Err(sqlx::Error::PoolTimedOut) => self.connects().await,
            Err(error) => Err(error.to_string()),
        }
    }

    /// Opens a connection and closes it again.
    async fn connects(&self) -> Result<(), String> {
        let session = self.unlimited_session();
        let connecting = tokio::time::timeout(PATIENCE, PgConnection::connect_with(&session));
        let connection = connecting.await.map_err(|_| "no answer".to_owned())?.map_err(|error| error.to_string())?;
        connection.close().await.map_err(|error| error.to_string())
    }
}
