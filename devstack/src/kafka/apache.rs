//! Apache Kafka: one node that is broker and controller (KRaft), run with the machine's Java.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use super::jars::Jars;
use super::{KafkaDoor, probe};
use crate::process::{ServerProcess, ServerSpec, Signals, stop_leftover};
use crate::programs::{find as find_program, run};
use crate::{DataLock, StackOptions, ports};

const START_LIMIT: Duration = Duration::from_secs(90);

/// The oldest Java that the broker runs on.
const JAVA_VERSION: u32 = 17;

/// Any 16 bytes in base64url will do for a cluster of one.
const CLUSTER_ID: &str = "OrderPlatformDevstackA";

/// Small and quick to start rather than fast for hours.
const JAVA_OPTIONS: [&str; 5] =
    ["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:-UsePerfData", "-Djava.awt.headless=true"];

const LOGGING: &str = "\
status = error
appender.console.type = Console
appender.console.name = console
appender.console.layout.type = PatternLayout
appender.console.layout.pattern = %d{ISO8601} %p %c{1} %m%n
rootLogger.level = warn
rootLogger.appenderRef.console.ref = console
logger.server.name = kafka.server.KafkaRaftServer
logger.server.level = info
";

/// What is needed to run a broker.
#[derive(Debug)]
pub(super) struct Installation {
    java: PathBuf,
    jars: Jars,
}

/// A Java that is new enough, and the jars.
///
/// # Errors
/// One of them is missing; the text says what to do.
pub(super) async fn find(options: &StackOptions) -> Result<Installation> {
    let sources = &options.sources;
    let at_home = sources.java_home.as_ref().map(|home| home.join("bin/java")).filter(|java| java.exists());
    let Some(java) = at_home.or_else(|| find_program("java", sources.path.as_deref())) else {
        bail!("there is no `java`; install Java {JAVA_VERSION} or later");
    };
    let version = java_version(&java).await?;
    if version < JAVA_VERSION {
        bail!("{} is Java {version}; install Java {JAVA_VERSION} or later", java.display());
    }
    Ok(Installation { java, jars: Jars::find(options).await? })
}

async fn java_version(java: &Path) -> Result<u32> {
    // macOS has a `java` that only tells people where to get one, so it being there proves nothing.
    let mut command = Command::new(java);
    command.arg("-version");
    let text = run(command).await?;
    parse_java_version(&text).with_context(|| format!("{} does not say its version: {text}", java.display()))
}

/// `openjdk version "17.0.15" …` → 17.
fn parse_java_version(text: &str) -> Option<u32> {
    let quoted = text.split('"').nth(1)?;
    quoted.split(|other: char| !other.is_ascii_digit()).next()?.parse().ok()
}

/// A broker of ours.
#[derive(Debug)]
pub(super) struct Apache {
    installation: Installation,
    places: Places,
    port: u16,
    doors: Vec<KafkaDoor>,
    bootstrap_servers: String,
    /// None after [`Apache::kill`].
    process: Option<ServerProcess>,
    _lock: DataLock,
}

#[derive(Debug)]
struct Places {
    records: PathBuf,
    properties: PathBuf,
    logging: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Places {
    fn below(data: &Path) -> Self {
        let folder = data.join("kafka");
        Self {
            records: folder.join("records"),
            properties: folder.join("server.properties"),
            logging: folder.join("log4j2.properties"),
            log: data.join("kafka.log"),
            pid_file: data.join("kafka.pid"),
        }
    }

    fn server_spec(&self) -> ServerSpec {
        ServerSpec {
            name: "Kafka",
            signals: Signals::USUAL,
            log: self.log.clone(),
            pid_file: self.pid_file.clone(),
            mark: self.properties.clone(),
        }
    }
}

impl Apache {
    pub(super) async fn start(installation: Installation, options: &StackOptions, lock: DataLock) -> Result<Self> {
        let places = Places::below(lock.data());
        fs::create_dir_all(&places.records).with_context(|| format!("can't make {}", places.records.display()))?;
        if stop_leftover(&places.server_spec()).await? {
            options.say("kafka", "stopped the broker that an earlier run left");
        }
        let port = ports::choose(options.ports.kafka, "Kafka")?;
        let bootstrap_servers = format!("127.0.0.1:{port}");
        let doors = options.kafka_doors.clone();
        let mut apache = Self { installation, places, port, doors, bootstrap_servers, process: None, _lock: lock };
        apache.run_broker().await?;
        Ok(apache)
    }

    pub(super) fn bootstrap_servers(&self) -> &str {
        &self.bootstrap_servers
    }

    pub(super) fn description(&self) -> String {
        let Installation { java, jars } = &self.installation;
        let (folder, java) = (jars.folder.display(), java.display());
        format!("Apache Kafka {} from {folder} with {java} ({})", jars.version, self.bootstrap_servers)
    }

    pub(super) fn pid(&self) -> Option<u32> {
        self.process.as_ref().map(ServerProcess::pid)
    }

    pub(super) async fn kill(&mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.crash().await,
            None => Ok(()),
        }
    }

    pub(super) async fn restart(&mut self) -> Result<()> {
        if let Some(process) = self.process.take() {
            process.stop().await?;
        }
        self.run_broker().await
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }

    async fn run_broker(&mut self) -> Result<()> {
        let controller = ports::choose(None, "Kafka's controller")?;
        let settings = properties(self.port, controller, &self.doors, &self.places.records);
        write(&self.places.properties, &settings)?;
        write(&self.places.logging, LOGGING)?;
        if !self.places.records.join("meta.properties").exists() {
            let mut format = self.java("kafka.tools.StorageTool");
            format.args(["format", "--ignore-formatted", "-t", CLUSTER_ID, "-c"]).arg(&self.places.properties);
            run(format).await.context("can't format Kafka's storage")?;
        }
        let mut command = self.java("kafka.Kafka");
        command.arg(&self.places.properties);
        let mut process = ServerProcess::start(command, self.places.server_spec())?;
        probe::wait_until_ready(&self.bootstrap_servers, START_LIMIT, || process.check_alive())
            .await
            .with_context(|| format!("Kafka did not come up; its log is {}", self.places.log.display()))?;
        self.process = Some(process);
        Ok(())
    }

    fn java(&self, class: &str) -> Command {
        let mut command = Command::new(&self.installation.java);
        command.args(JAVA_OPTIONS);
        command.arg(format!("-Dlog4j2.configurationFile={}", self.places.logging.display()));
        command.arg("-cp").arg(self.installation.jars.class_path()).arg(class);
        command
    }
}

/// The ports may differ at every start: the storage keeps the node's number, not its address. The short session is
/// what a broker waits for after a crash, until its controller has forgotten the one before.
fn properties(port: u16, controller: u16, doors: &[KafkaDoor], records: &Path) -> String {
    let (mut listeners, mut advertised, mut protocols) = (String::new(), String::new(), String::new());
    for (number, door) in doors.iter().enumerate() {
        listeners += &format!(",DOOR{number}://127.0.0.1:{}", door.port);
        advertised += &format!(",DOOR{number}://127.0.0.1:{}", door.advertised);
        protocols += &format!(",DOOR{number}:PLAINTEXT");
    }
    format!(
        "\
process.roles=broker,controller
node.id=1
controller.quorum.voters=1@127.0.0.1:{controller}
controller.listener.names=CONTROLLER
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}{listeners}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}{advertised}
listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT{protocols}
log.dirs={}
auto.create.topics.enable=false
broker.session.timeout.ms=3000
broker.heartbeat.interval.ms=500
num.partitions=6
default.replication.factor=1
offsets.topic.replication.factor=1
offsets.topic.num.partitions=6
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=2
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
group.min.session.timeout.ms=1000
log.retention.hours=168
log.cleaner.dedupe.buffer.size=16777216
",
        records.display()
    )
}

fn write(path: &Path, text: &str) -> Result<()> {
    fs::write(path, text).with_context(|| format!("can't write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn java_version_is_read_in_both_its_forms() {
        assert_eq!(parse_java_version("openjdk version \"17.0.15\" 2025-04-15\nOpenJDK …"), Some(17));
        assert_eq!(parse_java_version("openjdk version \"21\" 2023-09-19"), Some(21));
        assert_eq!(parse_java_version("java version \"1.8.0_292\""), Some(1));
        assert_eq!(parse_java_version("No Java runtime present"), None);
    }
}
