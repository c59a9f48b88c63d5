//! The broker.

mod apache;
mod jars;
mod mock;
mod probe;

use anyhow::{Context, Result};

use self::apache::Apache;
use self::mock::MockBroker;
use crate::{DataLock, StackOptions, external};

/// A running Kafka broker.
#[derive(Debug)]
pub struct Kafka {
    server: Server,
}

/// One more port of a broker. Kafka tells its clients where to connect, so whoever is to come through a proxy needs a
/// port that is advertised as the proxy's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KafkaDoor {
    /// Where the broker listens.
    pub port: u16,
    /// Where clients that came in here are told to connect.
    pub advertised: u16,
}

#[derive(Debug)]
enum Server {
    External { bootstrap_servers: String },
    Apache(Box<Apache>),
    Mock(MockBroker),
}

impl Kafka {
    /// Starts a broker alone, on a data folder of its own.
    ///
    /// # Errors
    /// As [`crate::Stack::start`].
    pub async fn start(options: &StackOptions) -> Result<Self> {
        Self::start_in(options, DataLock::acquire(&options.data)?).await
    }

    pub(crate) async fn start_in(options: &StackOptions, lock: DataLock) -> Result<Self> {
        let server = match &options.sources.kafka_bootstrap_servers {
            Some(bootstrap_servers) => {
                let bootstrap_servers = bootstrap_servers.clone();
                probe::wait_until_ready(&bootstrap_servers, probe::RUNNING_LIMIT, || Ok(()))
                    .await
                    .context("no Kafka answers at KAFKA_BOOTSTRAP_SERVERS")?;
                Server::External { bootstrap_servers }
            }
            None => Self::start_local(options, lock).await?,
        };
        let kafka = Self { server };
        options.say("kafka", kafka.description());
        Ok(kafka)
    }

    async fn start_local(options: &StackOptions, lock: DataLock) -> Result<Server> {
        if !options.sources.embedded.kafka {
            match apache::find(options).await {
                Ok(installation) => {
                    return Ok(Server::Apache(Box::new(Apache::start(installation, options, lock).await?)));
                }
                Err(error) => {
                    let missing = format!("Apache Kafka can't be run on this machine: {error:#}");
                    options.sources.allow_substitute(&missing)?;
                    options.say("kafka", format!("{missing}; using the EMBEDDED SUBSTITUTE"));
                }
            }
        }
        Ok(Server::Mock(MockBroker::start()?))
    }

    /// What clients need as `bootstrap.servers`.
    pub fn bootstrap_servers(&self) -> &str {
        match &self.server {
            Server::External { bootstrap_servers } => bootstrap_servers,
            Server::Apache(apache) => apache.bootstrap_servers(),
            Server::Mock(mock) => mock.bootstrap_servers(),
        }
    }

    /// Which broker this is and where it came from, in one line.
    pub fn description(&self) -> String {
        match &self.server {
            Server::External { bootstrap_servers } => format!("Kafka at {bootstrap_servers} (KAFKA_BOOTSTRAP_SERVERS)"),
            Server::Apache(apache) => apache.description(),
            Server::Mock(mock) => format!(
                "EMBEDDED SUBSTITUTE: librdkafka's mock broker ({}); records are lost at its end and beyond 5 MiB per \
                 partition",
                mock.bootstrap_servers()
            ),
        }
    }

    /// Whether this is the mock broker: it keeps nothing, has no admin API, and never waits for records
    /// (`fetch.wait.max.ms` should be small).
    pub fn is_substitute(&self) -> bool {
        match &self.server {
            Server::External { .. } | Server::Apache(_) => false,
            Server::Mock(_) => true,
        }
    }

    /// The broker's process id, while it runs and is a process of ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.server {
            Server::External { .. } | Server::Mock(_) => None,
            Server::Apache(apache) => apache.pid(),
        }
    }

    /// Ends the broker as a crash would.
    ///
    /// # Errors
    /// It is not ours, or the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Kafka"),
            Server::Apache(apache) => apache.kill().await,
            Server::Mock(mock) => mock.down(),
        }
    }

    /// Stops the broker if it runs and starts it again with the same data on the same port; returns when it answers.
    ///
    /// # Errors
    /// It is not ours, or does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Kafka"),
            Server::Apache(apache) => apache.restart().await,
            Server::Mock(mock) => {
                mock.down()?;
                mock.up()
            }
        }
    }

    /// Stops the broker if it is ours.
    ///
    /// # Errors
    /// The system refuses to signal it.
    pub async fn stop(self) -> Result<()> {
        match self.server {
            Server::External { .. } => Ok(()),
            Server::Apache(apache) => apache.stop().await,
            Server::Mock(mock) => {
                drop(mock);
                Ok(())
            }
        }
    }
}
