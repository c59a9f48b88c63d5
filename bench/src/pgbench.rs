//! pgbench with the scripts of this crate, each in a database of its own.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use figures::pgbench::PgbenchReport;
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::platform::Platform;
use tokio::process::Command;

const SCHEMA: &str = include_str!("../scripts/schema.sql");

/// Ended clients' backends are gone soon.
const BACKENDS_END_WITHIN: Duration = Duration::from_secs(5);

/// What one client does again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Script {
    /// Our order as one statement.
    OneStatement,
    /// The same order as a transaction of many.
    Naive,
    /// An update of one row.
    OneRow,
}

impl Script {
    pub(crate) const ALL: [Self; 3] = [Self::OneStatement, Self::Naive, Self::OneRow];

    fn sql(self) -> &'static str {
        match self {
            Self::OneStatement => include_str!("../scripts/order_as_one_statement.sql"),
            Self::Naive => include_str!("../scripts/order_naive.sql"),
            Self::OneRow => include_str!("../scripts/one_row.sql"),
        }
    }

    /// A database for each, so that none pays for the rows of another.
    fn database(self) -> &'static str {
        match self {
            Self::OneStatement => "bench_one_statement",
            Self::Naive => "bench_naive",
            Self::OneRow => "bench_one_row",
        }
    }

    /// As many as serve it best.
    pub(crate) fn clients(self) -> u32 {
        match self {
            Self::OneStatement | Self::OneRow => 64,
            Self::Naive => 32,
        }
    }

    /// Orders that one transaction makes.
    pub(crate) fn orders_of_each(self) -> u64 {
        match self {
            Self::OneStatement | Self::Naive => 1,
            Self::OneRow => 0,
        }
    }
}

/// Where the program, its scripts and its databases are.
#[derive(Clone, Debug)]
pub(crate) struct Pgbench {
    program: PathBuf,
    folder: PathBuf,
}

impl Pgbench {
    /// Finds the program that belongs to the platform's server and makes the databases.
    ///
    /// # Errors
    /// There is none.
    pub(crate) async fn set_up(platform: &Platform) -> Result<Self> {
        let postgres = &platform.stack.postgres;
        let program = postgres.program("pgbench").with_context(|| {
            format!(
                "pgbench is missing: {} has none; install the PostgreSQL server of your system, which does",
                postgres.description()
            )
        })?;
        let pgbench = Self { program, folder: platform.folder().to_owned() };
        for script in Script::ALL {
            postgres.create_database(script.database()).await?;
            let mut connection = PgConnection::connect(&postgres.database_url(script.database())).await?;
            connection.execute(SCHEMA).await.context("schema.sql")?;
            connection.execute("vacuum analyze stock").await?;
            connection.close().await?;
            let file = pgbench.file(script);
            std::fs::write(&file, script.sql()).with_context(|| format!("can't write {}", file.display()))?;
        }
        Ok(pgbench)
    }

    /// Runs a script to its end.
    ///
    /// # Errors
    /// A transaction failed.
    pub(crate) async fn run(&self, platform: &Platform, script: Script, seconds: u32) -> Result<PgbenchReport> {
        let output = Command::new(&self.program)
            .args(["--no-vacuum", "--protocol=prepared", "--jobs=2"])
            .args(["--client", &script.clients().to_string(), "--time", &seconds.to_string()])
            .arg("--file")
            .arg(self.file(script))
            .arg(platform.stack.postgres.database_url(script.database()))
            .stdin(Stdio::null())
            .kill_on_drop(true)
            // Ctrl-C is for us to hear. Without us it ends with the server.
            .process_group(0)
            .output()
            .await
            .with_context(|| format!("can't run {}", self.program.display()))?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "pgbench failed ({}):\n{errors}", output.status);
        PgbenchReport::parse(&String::from_utf8_lossy(&output.stdout))
    }

    fn file(&self, script: Script) -> PathBuf {
        self.folder.join(script.database()).with_extension("sql")
    }
}

/// Orders that a script has made so far.
pub(crate) async fn orders(platform: &Platform, script: Script) -> Result<u64> {
    let mut connection = PgConnection::connect(&platform.stack.postgres.database_url(script.database())).await?;
    let orders: i64 = sqlx::query_scalar("select count(*) from orders").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(orders.unsigned_abs())
}

/// Waits until the server has heard that a script's clients are gone: statistics and processor time of a backend are
/// counted at its end.
pub(crate) async fn clients_are_gone(connection: &mut PgConnection, script: Script) -> Result<()> {
    let look = async {
        loop {
            let clients: i64 = sqlx::query_scalar(
                "select count(*) from pg_stat_activity where datname = $1 and backend_type = 'client backend'",
            )
            .bind(script.database())
            .fetch_one(&mut *connection)
            .await?;
            if clients == 0 {
                return anyhow::Ok(());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    tokio::time::timeout(BACKENDS_END_WITHIN, look).await.context("pgbench's connections do not end")?
}
