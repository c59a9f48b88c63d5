//! The other end of telemetry: a collector of traces that throws everything away, or that is ill.

use std::convert::Infallible;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::process::Child;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Status};

use crate::load::{spawn, this_program};

/// What stands in for `main`'s first word.
pub(crate) const ROLE: &str = "collector";
/// Answers of one that is slow: longer than spans take to fill a queue.
const SLOW: Duration = Duration::from_secs(3);

/// How it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    /// It takes everything at once.
    Well,
    /// It answers late.
    Slow,
    /// It takes connections and requests, and never answers.
    Hung,
}

impl Manner {
    fn word(self) -> &'static str {
        match self {
            Self::Well => "well",
            Self::Slow => "slow",
            Self::Hung => "hung",
        }
    }
}

/// A running collector. Dropping it ends it.
pub(crate) struct Collector {
    _process: Child,
    /// For OTEL_EXPORTER_OTLP_ENDPOINT.
    pub(crate) address: String,
}

impl Collector {
    pub(crate) async fn start(manner: Manner) -> Result<Self> {
        let mut command = this_program(ROLE)?;
        command.arg(manner.word());
        let (process, address) = spawn(command).await?;
        ensure!(address.starts_with("http://"), "the collector did not start");
        Ok(Self { _process: process, address })
    }
}

/// The process itself.
pub(crate) fn run(mut arguments: impl Iterator<Item = std::ffi::OsString>) -> ExitCode {
    let word = arguments.next().and_then(|word| word.into_string().ok()).unwrap_or_default();
    let Some(manner) = [Manner::Well, Manner::Slow, Manner::Hung].into_iter().find(|manner| manner.word() == word)
    else {
        eprintln!("a collector is well, slow or hung");
        return ExitCode::FAILURE;
    };
    match serve(manner) {
        Ok(never) => match never {},
        Err(error) => {
            eprintln!("collector: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn serve(manner: Manner) -> Result<Infallible> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().context("no threads")?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await.context("no port is free")?;
        println!("http://{}", listener.local_addr()?);
        let service = TraceServiceServer::new(Ill(manner)).max_decoding_message_size(64 * 1_024 * 1_024);
        let server = tonic::transport::Server::builder().add_service(service);
        server.serve_with_incoming(TcpListenerStream::new(listener)).await?;
        anyhow::bail!("it stopped serving")
    })
}

struct Ill(Manner);

#[tonic::async_trait]
impl TraceService for Ill {
    async fn export(
        &self,
        _: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        match self.0 {
            Manner::Well => {}
            Manner::Slow => tokio::time::sleep(SLOW).await,
            Manner::Hung => std::future::pending().await,
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}
