//! Real servers on this machine, without containers: Postgres, Kafka and a store for traces, for `orderctl up` and for
//! the end-to-end tests.
//!
//! Each server is chosen in this order ([`Sources`] holds the switches, usually read from the environment):
//!
//! 1. one that runs already, at an address from the environment;
//! 2. the program on this machine: Postgres' server binaries, Apache Kafka from its jars with the machine's Java
//!    (fetched once with `mvn`), Jaeger from `PATH` or `JAEGER_BIN`;
//! 3. an embedded substitute, which says so in its `description()` and in `is_substitute()`.
//!
//! What a [`Stack`] guarantees: its data survives a stop, a crash of a server and a crash of this process; its servers
//! listen on loopback only and never outlive this process for long; two stacks never share a data folder.
//! What it does not: security (there are no passwords) and more than one node of anything.
//!
//! Reading order: [`Stack`] here, then `sources`, `process` (how a child lives and dies), and one module per server.

mod external;
mod folder;
mod kafka;
mod ports;
mod postgres;
mod process;
mod programs;
mod progress;
mod sources;
mod traces;
mod waiting;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};

pub use folder::DataLock;
pub use kafka::{Kafka, KafkaDoor};
pub use ports::Ports;
pub use postgres::Postgres;
pub use progress::Progress;
pub use sources::{Embedded, Sources};
pub use traces::Traces;

/// Where things go, which servers are wanted and who is told about progress.
#[derive(Clone)]
pub struct StackOptions {
    /// What survives: databases, topics, logs of the servers. Made if missing.
    pub data: PathBuf,
    /// Downloads (jars, binaries), shared by every clone of the repository on this machine.
    pub cache: PathBuf,
    /// The ports to listen on.
    pub ports: Ports,
    /// Further ports of a broker of ours, for clients that reach it through a proxy.
    pub kafka_doors: Vec<KafkaDoor>,
    /// Which server to use for what.
    pub sources: Sources,
    /// Called with every step that takes time or that a person should know of; from any thread.
    pub progress: Arc<dyn Fn(Progress) + Send + Sync>,
}

impl StackOptions {
    /// Options for servers with their data in `data`: free ports, the default cache, sources from the environment,
    /// nobody told about progress.
    pub fn new(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            cache: default_cache(),
            ports: Ports::default(),
            kafka_doors: Vec::new(),
            sources: Sources::from_environment(),
            progress: Arc::new(|_| {}),
        }
    }

    /// Tells `listener` about progress.
    #[must_use]
    pub fn on_progress(mut self, listener: impl Fn(Progress) + Send + Sync + 'static) -> Self {
        self.progress = Arc::new(listener);
        self
    }

    fn say(&self, part: &'static str, message: impl Into<String>) {
        (self.progress)(Progress { part, message: message.into() });
    }
}

/// `$XDG_CACHE_HOME/order-platform`, else `~/.cache/order-platform`, else a folder in the system's temp folder.
pub fn default_cache() -> PathBuf {
    let absolute = |name: &str| std::env::var_os(name).map(PathBuf::from).filter(|path| path.is_absolute());
    absolute("XDG_CACHE_HOME")
        .or_else(|| absolute("HOME").map(|home| home.join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("order-platform")
}

/// The three servers, running. Dropping it kills those that it started; [`Stack::stop`] ends them in order.
pub struct Stack {
    /// The database server.
    pub postgres: Postgres,
    /// The broker.
    pub kafka: Kafka,
    /// Where spans go and are asked for.
    pub traces: Traces,
}

impl Stack {
    /// Starts the three servers at the same time and returns when all of them answer.
    ///
    /// # Errors
    /// Another stack runs on the data folder (the text names its process), a server can't be found or does not come up
    /// (the text ends with its log), or a substitute was needed while [`Sources::require_real`] forbids it.
    pub async fn start(options: &StackOptions) -> Result<Self> {
        let lock = DataLock::acquire(&options.data)?;
        let (postgres, kafka, traces) = tokio::try_join!(
            Postgres::start_in(options, lock.clone()),
            Kafka::start_in(options, lock.clone()),
            Traces::start_in(options, lock.clone()),
        )?;
        Ok(Self { postgres, kafka, traces })
    }

    /// Stops what this stack started, the broker and the trace store first, the database last. All three are stopped
    /// even when one of them fails to.
    ///
    /// # Errors
    /// The first failure.
    pub async fn stop(self) -> Result<()> {
        let (kafka, traces) = tokio::join!(self.kafka.stop(), self.traces.stop());
        let postgres = self.postgres.stop().await;
        kafka.and(traces).and(postgres)
    }

    /// One line per server: what it is and where it came from.
    pub fn descriptions(&self) -> [(&'static str, String); 3] {
        [
            ("postgres", self.postgres.description()),
            ("kafka", self.kafka.description()),
            ("traces", self.traces.description()),
        ]
    }
}

/// `path` without a dependence on the current folder, which children don't share.
fn absolute(path: &Path) -> Result<PathBuf> {
    std::path::absolute(path).with_context(|| format!("can't make {} absolute", path.display()))
}
