//! One service as a process.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1::order_service_client::OrderServiceClient;
use rustix::process::{Pid, Signal};
use serde_json::Value;
use tonic::transport::{Channel, Endpoint};

use crate::lifeline::LIFELINE;
use crate::metrics::Metrics;
use crate::waiting::{eventually, seconds};
use crate::{http, ports};

/// Longer than SHUTDOWN_GRACE: a service that needs more has not kept its word.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// Lines of a log that are shown when a test fails.
const LAST_LINES: usize = 60;

/// Variables of a shell that would change what is tested.
const NOT_INHERITED: [&str; 8] = [
    "OTEL_SERVICE_NAME",
    "OTEL_SDK_DISABLED",
    "OTEL_TRACES_SAMPLER",
    "OTEL_TRACES_SAMPLER_ARG",
    "OTEL_RESOURCE_ATTRIBUTES",
    "HTTP_LISTEN",
    "DATABASE_URL",
    "KAFKA_BOOTSTRAP_SERVERS",
];

/// Which of the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// order-svc
    Orders,
    /// inventory-svc
    Inventory,
}

impl Part {
    fn argument(self) -> &'static str {
        match self {
            Self::Orders => "order",
            Self::Inventory => "inventory",
        }
    }

    /// The name of its database.
    #[must_use]
    pub fn database(self) -> &'static str {
        match self {
            Self::Orders => "orders",
            Self::Inventory => "inventory",
        }
    }
}

/// One replica of a service, running or not. It keeps its ports and its log over restarts; dropping it kills it.
#[derive(Debug)]
pub struct Service {
    program: PathBuf,
    part: Part,
    environment: BTreeMap<String, String>,
    /// Where it answers calls.
    pub grpc_port: u16,
    admin_port: u16,
    log: PathBuf,
    child: Option<Child>,
}

impl Service {
    /// A replica that does not run yet, with ports of its own and its log `<log>.log` in `folder`.
    #[must_use]
    pub fn new(program: &Path, part: Part, environment: BTreeMap<String, String>, folder: &Path, log: &str) -> Self {
        let (grpc_port, admin_port) = (ports::free(), ports::free());
        let log = folder.join(log).with_extension("log");
        Self { program: program.to_owned(), part, environment, grpc_port, admin_port, log, child: None }
    }

    /// Changes a setting for the next start.
    pub fn set(&mut self, name: &str, value: impl Into<String>) {
        self.environment.insert(name.to_owned(), value.into());
    }

    /// Takes a setting away, for the next start.
    pub fn unset(&mut self, name: &str) {
        self.environment.remove(name);
    }

    /// The settings of the next start.
    #[must_use]
    pub fn environment(&self) -> &BTreeMap<String, String> {
        &self.environment
    }

    /// Starts the process and returns at once.
    ///
    /// # Panics
    /// When it runs already, or the program or its log can't be opened.
    pub fn start(&mut self) {
        assert!(!self.is_running(), "{:?} runs already", self.part);
        let log = File::options().create(true).append(true).open(&self.log).expect("the data folder is ours");
        let errors = log.try_clone().expect("a file can be shared");
        let mut command = Command::new(&self.program);
        for name in NOT_INHERITED {
            command.env_remove(name);
        }
        let child = command
            .arg(self.part.argument())
            .env("LOG_FORMAT", "json")
            .env("RUST_LOG", "info")
            .env("GRPC_LISTEN", format!("127.0.0.1:{}", self.grpc_port))
            .env("ADMIN_LISTEN", format!("127.0.0.1:{}", self.admin_port))
            .envs(&self.environment)
            .env(LIFELINE, "1")
            .stdin(Stdio::piped())
            .stdout(log)
            .stderr(errors)
            .spawn()
            .expect("the program was built with the tests");
        self.child = Some(child);
    }

    /// Starts the process and waits until /readyz says yes.
    pub async fn start_ready(&mut self) {
        self.start();
        self.ready().await;
    }

    /// Waits until /readyz says yes.
    ///
    /// # Panics
    /// When the process ends, or is not ready within half a minute.
    pub async fn ready(&mut self) {
        eventually(seconds(30), async || {
            assert!(self.is_running(), "{:?} ended:\n{}", self.part, self.last_lines());
            let (status, body) = self.readyz().await?;
            ensure!(status == 200, "/readyz of {:?} says {status} {body}", self.part);
            Ok(())
        })
        .await;
    }

    /// Whether the process is there.
    pub fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// The process' id, while it was started and not waited for.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// Ends the process like a crash: SIGKILL.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            drop(child.kill());
            drop(child.wait());
        }
    }

    /// Asks the process to drain and waits for its end.
    ///
    /// # Panics
    /// When it takes longer than its grace, or exits with another code than 0.
    pub async fn stop(&mut self) {
        self.signal(Signal::TERM);
        let code = self.exit_code().await;
        assert_eq!(code, Some(0), "{:?} did not drain in order:\n{}", self.part, self.last_lines());
    }

    /// Stops in order and starts again.
    pub async fn restart(&mut self) {
        self.stop().await;
        self.start_ready().await;
    }

    /// Sends a signal.
    ///
    /// # Panics
    /// When the process does not run.
    pub fn signal(&self, signal: Signal) {
        let child = self.child.as_ref().expect("the service runs");
        rustix::process::kill_process(Pid::from_child(child), signal).expect("our own child takes signals");
    }

    /// Waits for the end of a process that was told to end; `None` when a signal ended it.
    ///
    /// # Panics
    /// When it is still there after its grace.
    pub async fn exit_code(&mut self) -> Option<i32> {
        let mut child = self.child.take().expect("the service runs");
        let begun = Instant::now();
        loop {
            if let Some(status) = child.try_wait().expect("our own child can be waited for") {
                return status.code();
            }
            if begun.elapsed() > STOP_LIMIT {
                drop(child.kill());
                drop(child.wait());
                panic!("{:?} still ran after {STOP_LIMIT:?}:\n{}", self.part, self.last_lines());
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    /// Status and JSON of /readyz.
    ///
    /// # Errors
    /// Nothing answers.
    pub async fn readyz(&self) -> Result<(u16, Value)> {
        let (status, body) = http::get(&format!("http://127.0.0.1:{}/readyz", self.admin_port)).await?;
        Ok((status, serde_json::from_str(&body).context("/readyz is JSON")?))
    }

    /// Waits until /readyz lists `component` as `status`, and returns the reason.
    pub async fn component(&self, limit: Duration, component: &str, status: &str) -> String {
        eventually(limit, async || {
            let (_, report) = self.readyz().await?;
            let components = report["components"].as_array().context("components")?;
            let Some(found) = components.iter().find(|found| found["name"] == component) else {
                bail!("no {component} in {report}");
            };
            ensure!(found["status"] == status, "{component} is {found}");
            Ok(found["reason"].as_str().unwrap_or_default().to_owned())
        })
        .await
    }

    /// What /metrics shows.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn metrics(&self) -> Metrics {
        let url = format!("http://127.0.0.1:{}/metrics", self.admin_port);
        let (status, page) = http::get(&url).await.expect("a service that runs has metrics");
        assert_eq!(status, 200);
        Metrics::parse(&page)
    }

    /// A page of the admin listener, as it comes.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn page(&self, path: &str) -> String {
        let url = format!("http://127.0.0.1:{}/{path}", self.admin_port);
        http::get(&url).await.expect("a service that runs has an admin listener").1
    }

    /// Changes what it logs, without a restart.
    ///
    /// # Panics
    /// When it does not take the filter.
    pub async fn log_at(&self, filter: &str) {
        let url = format!("http://127.0.0.1:{}/log", self.admin_port);
        let answer = http::put(&url, filter).await.expect("a service that runs has an admin listener");
        assert_eq!(answer, (200, format!("{filter}\n")));
    }

    /// `http://127.0.0.1:port`, for callers.
    #[must_use]
    pub fn address(&self) -> String {
        format!("http://127.0.0.1:{}", self.grpc_port)
    }

    /// `http://127.0.0.1:port` of /readyz and /metrics.
    #[must_use]
    pub fn admin_address(&self) -> String {
        format!("http://127.0.0.1:{}", self.admin_port)
    }

    /// A connection that comes up with the first call.
    ///
    /// # Panics
    /// Never: the address is one.
    #[must_use]
    pub fn channel(&self) -> Channel {
        Endpoint::from_shared(self.address()).expect("an address of our own making").connect_lazy()
    }

    /// A client of an order service.
    #[must_use]
    pub fn orders(&self) -> OrderServiceClient<Channel> {
        assert_eq!(self.part, Part::Orders);
        OrderServiceClient::new(self.channel())
    }

    /// A client of an inventory service.
    #[must_use]
    pub fn inventory(&self) -> InventoryServiceClient<Channel> {
        assert_eq!(self.part, Part::Inventory);
        InventoryServiceClient::new(self.channel())
    }

    /// Everything that it has logged, over all its starts.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default()
    }

    /// The end of its log.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let log = self.log();
        let lines: Vec<&str> = log.lines().collect();
        lines[lines.len().saturating_sub(LAST_LINES)..].join("\n")
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.kill();
    }
}
