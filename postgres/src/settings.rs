use std::str::FromStr as _;
use std::time::Duration;

use runtime::settings::SettingsReader;
use sqlx::ConnectOptions as _;
use sqlx::postgres::PgConnectOptions;

/// How to reach the database and how much of it to use.
#[derive(Clone, Debug)]
pub struct DatabaseSettings {
    /// Parsed `DATABASE_URL`.
    pub connect: PgConnectOptions,
    /// Connections of the pool for reads.
    pub read_connections: u32,
    /// Connections that the writer commits on.
    pub write_connections: u32,
    /// Commands that may wait for the writer; more are refused.
    pub write_queue: usize,
    /// Commands that share a transaction at most.
    pub write_batch: usize,
    /// A statement that runs longer is ended by the server.
    pub statement_timeout: Duration,
}

impl DatabaseSettings {
    /// Declares and reads the settings; what is wrong is collected by `reader`.
    pub fn read(reader: &mut SettingsReader) -> Self {
        let url = reader.required_secret(
            "DATABASE_URL",
            "postgres://user:password@host:port/database, or postgres:///database?host=/socket/dir&user=…",
        );
        let connect = if url.is_empty() {
            PgConnectOptions::new()
        } else {
            PgConnectOptions::from_str(&url).unwrap_or_else(|error| {
                reader.reject("DATABASE_URL", format!("not a postgres:// address: {error}"));
                PgConnectOptions::new()
            })
        };
        let settings = Self {
            connect: connect.disable_statement_logging(),
            read_connections: reader.value("DATABASE_READ_CONNECTIONS", "8", "connections for reads"),
            write_connections: reader.value("DATABASE_WRITE_CONNECTIONS", "2", "connections that commit batches"),
            write_queue: reader.value("WRITER_QUEUE", "4096", "commands that may wait to be written; more are refused"),
            write_batch: reader.value("WRITER_BATCH", "128", "commands that share a transaction at most"),
            statement_timeout: reader.duration(
                "DATABASE_STATEMENT_TIMEOUT",
                "5s",
                "a statement that runs longer is ended by the server",
            ),
        };
        for (name, value) in [
            ("DATABASE_READ_CONNECTIONS", settings.read_connections as usize),
            ("DATABASE_WRITE_CONNECTIONS", settings.write_connections as usize),
            ("WRITER_QUEUE", settings.write_queue),
            ("WRITER_BATCH", settings.write_batch),
        ] {
            if value == 0 {
                reader.reject(name, "must be at least 1".to_owned());
            }
        }
        settings
    }

    /// Where the database is, for people: host, port or socket folder, and name; never the password.
    #[must_use]
    pub fn address(&self) -> String {
        let host = match self.connect.get_socket() {
            Some(folder) => folder.display().to_string(),
            None => format!("{}:{}", self.connect.get_host(), self.connect.get_port()),
        };
        format!("{host}/{}", self.connect.get_database().unwrap_or("(default)"))
    }
}
