//! Either relay as a process of its own, in which nothing else runs.

use std::ffi::OsString;
use std::process::ExitCode;

use anyhow::{Context as _, Result, ensure};
use messaging::KafkaSettings;
use messaging::relay::{Relay, RelayWaker};
use postgres::{Database, DatabaseSettings};
use proto::topics;
use runtime::settings::SettingsReader;
use runtime::tasks::{Supervisor, TaskGroup};
use tokio::process::Child;
use tokio_util::sync::CancellationToken;

use super::usual;
use crate::load;

/// What a relay prints once it looks for events.
const READY: &str = "ready";

/// Which relay.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// That of the services.
    Ours,
    /// The one that it is compared with.
    Usual,
}

impl Kind {
    /// The first word of this program's command line.
    pub(crate) fn role(self) -> &'static str {
        match self {
            Self::Ours => "our-relay",
            Self::Usual => "usual-relay",
        }
    }
}

/// Started by [`start`]: publishes from the database that is the first argument to the brokers that are the second, until
/// it is killed. What follows are settings of the services, NAME=VALUE.
pub(crate) fn run(kind: Kind, arguments: impl Iterator<Item = OsString>) -> ExitCode {
    match publish(kind, arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error:#}", kind.role());
            ExitCode::FAILURE
        }
    }
}

fn publish(kind: Kind, arguments: impl Iterator<Item = OsString>) -> Result<()> {
    let arguments: Vec<String> = arguments.map(|argument| argument.to_string_lossy().into_owned()).collect();
    let [database, servers, settings @ ..] = arguments.as_slice() else {
        anyhow::bail!("expected a database and brokers");
    };
    // Threads as the services have them.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let ready = || println!("{READY}");
    runtime.block_on(async {
        match kind {
            Kind::Ours => ours(database, servers, settings, ready).await,
            Kind::Usual => usual::publish(database, servers, ready).await,
        }
    })
}

/// The services' own relay, with their default settings but for how often it looks when nobody wakes it.
async fn ours(database: &str, servers: &str, settings: &[String], ready: impl FnOnce()) -> Result<()> {
    let given = [
        format!("DATABASE_URL={database}"),
        format!("KAFKA_BOOTSTRAP_SERVERS={servers}"),
        format!("RELAY_POLL_INTERVAL={}ms", usual::POLL.as_millis()),
    ];
    let pairs = given.iter().chain(settings).filter_map(|setting| setting.split_once('='));
    let mut reader = SettingsReader::new(None, pairs.map(|(name, value)| (name.to_owned(), value.to_owned())));
    let database = Database::connect_lazily(DatabaseSettings::read(&mut reader), "bench-relay");
    let kafka = KafkaSettings::read(&mut reader);
    let (relaying, schema_ready) = (TaskGroup::new("relay", &Supervisor::new()), CancellationToken::new());
    schema_ready.cancel();
    let source = topics::ORDER_SERVICE;
    let relay = Relay::start(kafka, source, database, RelayWaker::default(), schema_ready, &relaying);
    relay.leading().wait_for(|leads| *leads).await.context("the relay ended")?;
    ready();
    std::future::pending().await
}

/// Starts a relay and waits until it looks for events.
pub(crate) async fn start(kind: Kind, database: &str, servers: &str, settings: &[(String, String)]) -> Result<Child> {
    let mut command = load::this_program(kind.role())?;
    command.args([database, servers]);
    command.args(settings.iter().map(|(name, value)| format!("{name}={value}")));
    let (relay, line) = load::spawn(command).await?;
    ensure!(line == READY, "{} said {line:?}", kind.role());
    Ok(relay)
}
