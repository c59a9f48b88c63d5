//! A Postgres of the test's own.

use std::fs::Permissions;
use std::os::unix::fs::PermissionsExt as _;
use std::time::{Duration, Instant};

use anyhow::Result;
use devstack::{Postgres, StackOptions};
use postgres::{Database, DatabaseSettings};
use tempfile::TempDir;

/// The server, and the folder that ends with it.
pub(crate) struct Server {
    pub(crate) postgres: Postgres,
    _folder: TempDir,
}

impl Server {
    pub(crate) async fn start() -> Self {
        // The user that Postgres runs as has to get in.
        let folder = tempfile::Builder::new().permissions(Permissions::from_mode(0o755)).tempdir().unwrap();
        let mut options = StackOptions::new(folder.path());
        options.sources.postgres_url = None;
        let postgres = Postgres::start(&options).await.unwrap();
        eprintln!("{}", postgres.description());
        postgres.create_database("entries").await.unwrap();
        Self { postgres, _folder: folder }
    }

    pub(crate) fn database(&self) -> Database {
        database(&self.postgres.database_url("entries"), 2)
    }

    pub(crate) fn port(&self) -> u16 {
        let url = self.postgres.tcp_database_url("entries");
        let (_, port) = url.rsplit_once(':').unwrap();
        port.split_once('/').unwrap().0.parse().unwrap()
    }
}

/// Pools of a service, with that many connections for the writer.
pub(crate) fn database(url: &str, write_connections: u32) -> Database {
    let settings = DatabaseSettings {
        connect: url.parse().unwrap(),
        read_connections: 2,
        write_connections,
        write_queue: 4096,
        write_batch: 64,
        statement_timeout: Duration::from_secs(5),
    };
    Database::connect_lazily(settings, "writer-tests")
}

/// Looks again and again until `attempt` succeeds.
pub(crate) async fn eventually<T>(mut attempt: impl AsyncFnMut() -> Result<T>) -> T {
    const LIMIT: Duration = Duration::from_secs(20);
    let begun = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return value,
            Err(error) => error,
        };
        assert!(begun.elapsed() < LIMIT, "not within {LIMIT:?}: {error:#}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
