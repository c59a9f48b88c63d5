//! The substitute: an OTLP/gRPC receiver and a query API in this process.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{TraceService, TraceServiceServer};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use super::store::{Limits, Store};
use super::{otlp, query};
use crate::{Ports, ports};

/// Tens of megabytes at most.
const LIMITS: Limits = Limits { traces: 5_000, spans: 100_000 };

/// How long clients may take to leave.
const STOP_LIMIT: Duration = Duration::from_secs(2);

/// Exporters send hundreds of spans at once.
const MAX_MESSAGE_BYTES: usize = 16 * 1024 * 1024;

/// Both listeners, on loopback.
#[derive(Debug)]
pub(super) struct Receiver {
    pub(super) otlp_endpoint: String,
    pub(super) query_url: String,
    otlp_port: u16,
    query_port: u16,
    /// None after [`Receiver::stop`].
    running: Option<Running>,
}

#[derive(Debug)]
struct Running {
    stop: CancellationToken,
    tasks: Vec<JoinHandle<()>>,
}

impl Receiver {
    pub(super) async fn start(wanted: Ports) -> Result<Self> {
        let otlp_port = ports::choose(wanted.otlp, "OTLP")?;
        let query_port = ports::choose(wanted.jaeger_query, "the query API of traces")?;
        let mut receiver = Self {
            otlp_endpoint: format!("http://127.0.0.1:{otlp_port}"),
            query_url: format!("http://127.0.0.1:{query_port}"),
            otlp_port,
            query_port,
            running: None,
        };
        receiver.restart().await?;
        Ok(receiver)
    }

    pub(super) async fn restart(&mut self) -> Result<()> {
        self.stop().await;
        let otlp_listener = listen(self.otlp_port).await?;
        let query_listener = listen(self.query_port).await?;
        let store = Store::new(LIMITS);
        let stop = CancellationToken::new();
        let service =
            TraceServiceServer::new(Export { store: store.clone() }).max_decoding_message_size(MAX_MESSAGE_BYTES);
        let exports = tonic::transport::Server::builder()
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(otlp_listener), stop.clone().cancelled_owned());
        let queries =
            axum::serve(query_listener, query::routes(store)).with_graceful_shutdown(stop.clone().cancelled_owned());
        // Both end without an error, by being told to: a listener on loopback has no other failures.
        let tasks = vec![
            tokio::spawn(async { drop(exports.await) }),
            tokio::spawn(async { drop(queries.into_future().await) }),
        ];
        self.running = Some(Running { stop, tasks });
        Ok(())
    }

    pub(super) async fn stop(&mut self) {
        let Some(mut running) = self.running.take() else { return };
        running.stop.cancel();
        for mut task in running.tasks.drain(..) {
            // A client that does not let go of its connection must not hold us up.
            if tokio::time::timeout(STOP_LIMIT, &mut task).await.is_err() {
                task.abort();
            }
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn listen(port: u16) -> Result<TcpListener> {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await.with_context(|| format!("can't listen on 127.0.0.1:{port}"))
}

#[derive(Debug)]
struct Export {
    store: Store,
}

#[tonic::async_trait]
impl TraceService for Export {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for resource_spans in request.into_inner().resource_spans {
            let process = Arc::new(otlp::process(resource_spans.resource.as_ref()));
            for scope_spans in resource_spans.scope_spans {
                for span in &scope_spans.spans {
                    if let Some(span) = otlp::span(span, scope_spans.scope.as_ref()) {
                        self.store.add(&process, span);
                    }
                }
            }
        }
        Ok(Response::new(ExportTraceServiceResponse { partial_success: None }))
    }
}
