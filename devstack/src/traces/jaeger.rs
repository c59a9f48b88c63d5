//! Jaeger v2 as a child: OTLP in, its query API out, traces in memory.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use axum::body::Body;
use hyper_util::client::legacy::Client;
use hyper_util::rt::TokioExecutor;

use crate::process::{ServerProcess, ServerSpec, Signals, stop_leftover};
use crate::programs::{find as find_program, is_executable};
use crate::waiting::Patience;
use crate::{DataLock, Ports, Sources, StackOptions, ports};

const START_LIMIT: Duration = Duration::from_secs(30);

/// One try of a query.
const ATTEMPT: Duration = Duration::from_secs(2);

/// What services are told that ask for sampling rates, until somebody writes something else.
const EVERY_TRACE: &str = r#"{ "default_strategy": { "type": "probabilistic", "param": 1 } }"#;

/// About 15 spans each make this less than a gigabyte; the oldest traces go first.
const MAX_TRACES: u32 = 50_000;

/// Jaeger's program, if there is one.
///
/// # Errors
/// `JAEGER_BIN` names no program.
pub(super) fn find(sources: &Sources) -> Result<Option<PathBuf>> {
    match &sources.jaeger_bin {
        Some(program) if is_executable(program) => Ok(Some(program.clone())),
        Some(program) => bail!("JAEGER_BIN={} is not a program", program.display()),
        None => Ok(find_program("jaeger", sources.path.as_deref())),
    }
}

/// Asks once whether Jaeger's query API is at `query_url`.
///
/// # Errors
/// It is not.
pub(super) async fn check_answers(query_url: &str) -> Result<()> {
    if !answers(query_url).await {
        bail!("no Jaeger query API answers at DEVSTACK_JAEGER_URL={query_url}");
    }
    Ok(())
}

async fn answers(query_url: &str) -> bool {
    let Ok(uri) = format!("{query_url}/api/services").parse() else { return false };
    let client: Client<_, Body> = Client::builder(TokioExecutor::new()).build_http();
    let asked = tokio::time::timeout(ATTEMPT, client.get(uri)).await;
    matches!(asked, Ok(Ok(response)) if response.status().is_success())
}

/// A Jaeger of ours.
#[derive(Debug)]
pub(super) struct Jaeger {
    pub(super) program: PathBuf,
    pub(super) otlp_endpoint: String,
    pub(super) query_url: String,
    /// Where services ask for sampling rates, over gRPC.
    pub(super) sampling_endpoint: String,
    /// What they are told. Jaeger reads it again each second.
    pub(super) sampling_file: PathBuf,
    otlp_port: u16,
    settings: PathBuf,
    spec: ServerSpec,
    /// None after [`Jaeger::kill`].
    process: Option<ServerProcess>,
    _lock: DataLock,
}

impl Jaeger {
    pub(super) async fn start(program: PathBuf, options: &StackOptions, lock: DataLock) -> Result<Self> {
        let Ports { otlp, jaeger_query, .. } = options.ports;
        let settings = lock.data().join("jaeger.yaml");
        let spec = ServerSpec {
            name: "Jaeger",
            signals: Signals::USUAL,
            log: lock.data().join("jaeger.log"),
            pid_file: lock.data().join("jaeger.pid"),
            mark: settings.clone(),
        };
        if stop_leftover(&spec).await? {
            options.say("traces", "stopped the Jaeger that an earlier run left");
        }
        let otlp_port = ports::choose(otlp, "OTLP")?;
        let query_port = ports::choose(jaeger_query, "Jaeger's query API")?;
        let query_grpc_port = ports::choose(None, "Jaeger's query API over gRPC")?;
        let sampling_port = ports::choose(None, "Jaeger's sampling rates")?;
        let sampling_file = lock.data().join("sampling.json");
        let write =
            |file: &Path, text: &str| fs::write(file, text).with_context(|| format!("can't write {}", file.display()));
        write(&sampling_file, EVERY_TRACE)?;
        let sampling = Sampling { file: &sampling_file, grpc: sampling_port };
        write(&settings, &configuration(otlp_port, query_port, query_grpc_port, &sampling))?;
        let mut jaeger = Self {
            program,
            otlp_endpoint: format!("http://127.0.0.1:{otlp_port}"),
            query_url: format!("http://127.0.0.1:{query_port}"),
            sampling_endpoint: format!("http://127.0.0.1:{sampling_port}"),
            sampling_file,
            otlp_port,
            settings,
            spec,
            process: None,
            _lock: lock,
        };
        jaeger.restart().await?;
        Ok(jaeger)
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
        let mut process = ServerProcess::start(command(&self.program, &self.settings), self.spec.clone())?;
        let patience = Patience::of(START_LIMIT);
        while !(accepts(self.otlp_port).await && answers(&self.query_url).await) {
            process.check_alive()?;
            patience.poll(|| format!("Jaeger did not answer; see {}; no answer", self.spec.log.display())).await?;
        }
        self.process = Some(process);
        Ok(())
    }

    pub(super) async fn stop(mut self) -> Result<()> {
        match self.process.take() {
            Some(process) => process.stop().await,
            None => Ok(()),
        }
    }
}

async fn accepts(port: u16) -> bool {
    tokio::net::TcpStream::connect((std::net::Ipv4Addr::LOCALHOST, port)).await.is_ok()
}

fn command(program: &Path, settings: &Path) -> Command {
    let mut command = Command::new(program);
    command.arg("--config").arg(settings);
    // Or it traces its own queries to port 4317, whoever listens there, and waits 10 s for that at its end.
    command.env("OTEL_TRACES_SAMPLER", "always_off");
    command
}

struct Sampling<'file> {
    file: &'file Path,
    grpc: u16,
}

/// Its own metrics are off: they would listen on a fixed port.
fn configuration(otlp: u16, query: u16, query_grpc: u16, sampling: &Sampling<'_>) -> String {
    let Sampling { file: sampling_file, grpc: sampling } = sampling;
    // A JSON string is a YAML string.
    let sampling_file = serde_json::Value::from(sampling_file.to_string_lossy());
    format!(
        r#"service:
  extensions: [jaeger_storage, jaeger_query, remote_sampling]
  pipelines:
    traces:
      receivers: [otlp]
      exporters: [jaeger_storage_exporter]
  telemetry:
    metrics:
      level: none
    logs:
      level: warn
extensions:
  jaeger_query:
    storage:
      traces: memory
    http:
      endpoint: "127.0.0.1:{query}"
    grpc:
      endpoint: "127.0.0.1:{query_grpc}"
  jaeger_storage:
    backends:
      memory:
        memory:
          max_traces: {MAX_TRACES}
  remote_sampling:
    file:
      path: {sampling_file}
      reload_interval: 1s
    grpc:
      endpoint: "127.0.0.1:{sampling}"
receivers:
  otlp:
    protocols:
      grpc:
        endpoint: "127.0.0.1:{otlp}"
exporters:
  jaeger_storage_exporter:
    trace_storage: memory
"#
    )
}
