//! The database server.

mod account;
mod archive;
mod binaries;
mod cluster;
mod url;

use std::path::PathBuf;

use anyhow::{Context, Result, bail};
use sqlx::{AssertSqlSafe, Connection, PgConnection};

use self::binaries::Binaries;
use self::cluster::Places;
use crate::process::ServerProcess;
use crate::programs::is_executable;
use crate::{DataLock, StackOptions, external, ports};

/// A running Postgres server.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
}

#[derive(Debug)]
enum Server {
    External { url: String, version: String },
    Local(Box<Local>),
}

#[derive(Debug)]
struct Local {
    places: Places,
    binaries: Binaries,
    embedded: bool,
    port: u16,
    /// None between [`Postgres::kill`] and [`Postgres::restart`].
    process: Option<ServerProcess>,
    _lock: DataLock,
}

impl Postgres {
    /// Starts Postgres alone, on a data folder of its own.
    ///
    /// # Errors
    /// As [`crate::Stack::start`].
    pub async fn start(options: &StackOptions) -> Result<Self> {
        Self::start_in(options, DataLock::acquire(&options.data)?).await
    }

    pub(crate) async fn start_in(options: &StackOptions, lock: DataLock) -> Result<Self> {
        let server = match &options.sources.postgres_url {
            Some(url) => Server::External { url: url.clone(), version: version_at(url).await? },
            None => Server::Local(Box::new(Local::start(options, lock).await?)),
        };
        let postgres = Self { server };
        options.say("postgres", postgres.description());
        Ok(postgres)
    }

    /// A URL of database `name` on this server, for sqlx and psql alike; over the unix socket where there is one.
    ///
    /// # Panics
    /// On a name that [`Postgres::create_database`] would refuse.
    pub fn database_url(&self, name: &str) -> String {
        url::check_name(name).expect("the database was created first, which refuses such names");
        match &self.server {
            Server::External { url, .. } => {
                url::with_database(url, name).expect("start() has parsed the same URL already")
            }
            Server::Local(local) => local.places.url(local.port, name),
        }
    }

    /// The same over TCP, for programs that don't know unix sockets.
    ///
    /// # Panics
    /// As [`Postgres::database_url`].
    pub fn tcp_database_url(&self, name: &str) -> String {
        match &self.server {
            Server::External { .. } => self.database_url(name),
            Server::Local(local) => Places::tcp_url(local.port, name),
        }
    }

    /// Creates database `name` unless it is there.
    ///
    /// # Errors
    /// The name would need quotes (see the text), or the server refuses.
    pub async fn create_database(&self, name: &str) -> Result<()> {
        url::check_name(name)?;
        let mut connection = self.connect().await?;
        let created = sqlx::query(AssertSqlSafe(format!("create database {name}"))).execute(&mut connection).await;
        // duplicate_database, or unique_violation when two create it at the same moment.
        let exists = |error: &sqlx::Error| {
            error
                .as_database_error()
                .and_then(|error| error.code())
                .is_some_and(|code| code == "42P04" || code == "23505")
        };
        match created {
            Ok(_) => {}
            Err(error) if exists(&error) => {}
            Err(error) => return Err(error).with_context(|| format!("can't create database {name}")),
        }
        connection.close().await.context("can't leave the database server")
    }

    /// Drops database `name` with whoever is connected to it; none is fine.
    ///
    /// # Errors
    /// As [`Postgres::create_database`].
    pub async fn drop_database(&self, name: &str) -> Result<()> {
        url::check_name(name)?;
        let mut connection = self.connect().await?;
        sqlx::query(AssertSqlSafe(format!("drop database if exists {name} with (force)")))
            .execute(&mut connection)
            .await
            .with_context(|| format!("can't drop database {name}"))?;
        connection.close().await.context("can't leave the database server")
    }

    /// Which server this is and where it came from, in one line.
    pub fn description(&self) -> String {
        match &self.server {
            Server::External { version, .. } => format!("PostgreSQL {version} from DEVSTACK_POSTGRES_URL"),
            Server::Local(local) => {
                let kind = if local.embedded { "EMBEDDED SUBSTITUTE: " } else { "" };
                let version = &local.binaries.version;
                let folder = local.binaries.folder.display();
                let socket = local.places.socket.display();
                format!("{kind}PostgreSQL {version} from {folder} (127.0.0.1:{}, socket {socket})", local.port)
            }
        }
    }

    /// A program that came with the server, such as `pgbench`, if the server is ours and the program is there.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        match &self.server {
            Server::External { .. } => None,
            Server::Local(local) => Some(local.binaries.program(name)).filter(|program| is_executable(program)),
        }
    }

    /// Whether the server's programs were downloaded because the machine has none.
    pub fn is_substitute(&self) -> bool {
        match &self.server {
            Server::External { .. } => false,
            Server::Local(local) => local.embedded,
        }
    }

    /// The server's process id, while it runs and is ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.server {
            Server::External { .. } => None,
            Server::Local(local) => local.process.as_ref().map(ServerProcess::pid),
        }
    }

    /// Ends the server as a crash would (an immediate shutdown): no checkpoint, every connection breaks.
    ///
    /// # Errors
    /// It is not ours, or the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Postgres"),
            Server::Local(local) => match local.process.take() {
                Some(process) => process.crash().await,
                None => Ok(()),
            },
        }
    }

    /// Stops the server if it runs and starts it again on the same files, port and socket; returns when it answers.
    ///
    /// # Errors
    /// It is not ours, or does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Postgres"),
            Server::Local(local) => {
                if let Some(process) = local.process.take() {
                    process.stop().await?;
                }
                local.process = Some(local.places.start_server(&local.binaries, local.port).await?);
                Ok(())
            }
        }
    }

    /// Stops the server if it is ours: connections are broken, running transactions rolled back, files left clean.
    ///
    /// # Errors
    /// The system refuses to signal it.
    pub async fn stop(self) -> Result<()> {
        match self.server {
            Server::External { .. } => Ok(()),
            Server::Local(mut local) => match local.process.take() {
                Some(process) => process.stop().await,
                None => Ok(()),
            },
        }
    }

    async fn connect(&self) -> Result<PgConnection> {
        let url = match &self.server {
            Server::External { url, .. } => url.clone(),
            Server::Local(local) => local.places.url(local.port, "postgres"),
        };
        PgConnection::connect(&url).await.context("can't connect to Postgres")
    }
}

impl Local {
    async fn start(options: &StackOptions, lock: DataLock) -> Result<Self> {
        let places = Places::choose(lock.data(), options)?;
        let (binaries, embedded) = choose_binaries(options, places.major().as_deref()).await?;
        places.prepare(&binaries, options).await?;
        let port = ports::choose(options.ports.postgres, "Postgres")?;
        let process = places.start_server(&binaries, port).await?;
        Ok(Self { places, binaries, embedded, port, process: Some(process), _lock: lock })
    }
}

/// The machine's programs, of version `major` if a cluster of that version is there; else downloaded ones.
async fn choose_binaries(options: &StackOptions, major: Option<&str>) -> Result<(Binaries, bool)> {
    if !options.sources.embedded.postgres {
        let found = binaries::on_this_machine(options.sources.path.as_deref());
        let fitting = found.iter().find(|binaries| major.is_none_or(|major| binaries.major() == major));
        if let Some(binaries) = fitting.or(found.first()) {
            return Ok((binaries.clone(), false));
        }
        let missing = "Postgres' server programs (postgres, initdb) were not found on this machine";
        options.sources.allow_substitute(missing)?;
        options.say("postgres", format!("{missing}: using the EMBEDDED SUBSTITUTE"));
    }
    Ok((archive::binaries(options).await?, true))
}

async fn version_at(url: &str) -> Result<String> {
    // Every other URL is made from this one by the same function.
    url::with_database(url, "postgres")?;
    let mut connection = PgConnection::connect(url).await.context("can't connect to DEVSTACK_POSTGRES_URL")?;
    let version: String = sqlx::query_scalar("show server_version")
        .fetch_one(&mut connection)
        .await
        .context("can't ask the server at DEVSTACK_POSTGRES_URL for its version")?;
    let may_create: bool =
        sqlx::query_scalar("select rolcreatedb or rolsuper from pg_roles where rolname = current_user")
            .fetch_one(&mut connection)
            .await
            .context("can't ask the server at DEVSTACK_POSTGRES_URL for the role's rights")?;
    if !may_create {
        bail!("the role of DEVSTACK_POSTGRES_URL may not create databases: alter role … createdb");
    }
    connection.close().await.context("can't leave the server at DEVSTACK_POSTGRES_URL")?;
    Ok(version)
}
