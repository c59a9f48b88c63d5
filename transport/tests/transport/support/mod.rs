//! A server with a stub of the order service, and what telemetry says about it.

mod recording;
mod stub;

use std::net::SocketAddr;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use futures::future::BoxFuture;
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::order_service_server::{OrderServiceServer, SERVICE_NAME};
use runtime::health::{Component, Health, Impact};
use runtime::listen::Listener;
use runtime::settings::SettingsReader;
use runtime::tasks::{Supervisor, TaskGroup};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::service::Routes;
use tonic::transport::{Channel, Endpoint};
use tower::Service;
use transport::client::{ClientSettings, ClientStack, connect};
use transport::error::ErrorDomain;
use transport::server::{Authentication, Business, ServeError, ServerSettings, bind, serve};

pub(crate) use recording::Recording;
pub(crate) use stub::{Seen, Stub};

/// Bytes of the largest message that the stub takes.
pub(crate) const MAX_MESSAGE_BYTES: usize = 1_024;

/// A server on a free port of this machine.
pub(crate) struct TestServer {
    pub(crate) address: SocketAddr,
    pub(crate) health: Health,
    pub(crate) database: Component,
    pub(crate) seen: Seen,
    stop: CancellationToken,
    task: Option<JoinHandle<Result<(), ServeError>>>,
}

impl TestServer {
    pub(crate) async fn start() -> Self {
        Self::start_with(Authentication::default(), |_| {}).await
    }

    /// With other settings than the defaults.
    pub(crate) async fn start_with(authentication: Authentication, set: impl FnOnce(&mut ServerSettings)) -> Self {
        let mut settings = ServerSettings::read(&mut SettingsReader::without_values(), "127.0.0.1:0");
        settings.max_message_bytes = MAX_MESSAGE_BYTES;
        settings.max_answer_bytes = MAX_MESSAGE_BYTES;
        set(&mut settings);
        let listener = bind(&settings).await.unwrap();
        let address = match &listener {
            Listener::Tcp(listener) => listener.local_addr().unwrap(),
            Listener::Unix(_) => "0.0.0.0:0".parse().unwrap(),
        };
        let (health, seen, stop) = (Health::new(), Seen::default(), CancellationToken::new());
        let database = health.component("database", Impact::Required);
        let orders = OrderServiceServer::new(Stub(seen.clone()))
            .max_decoding_message_size(settings.max_message_bytes)
            .max_encoding_message_size(settings.max_answer_bytes);
        let business = Business {
            routes: Routes::new(orders),
            names: &[SERVICE_NAME],
            domain: ErrorDomain::ORDERS,
            authentication,
        };
        let (serving_health, serving_stop) = (health.clone(), stop.clone());
        let task =
            tokio::spawn(async move { serve(listener, settings, business, &serving_health, serving_stop).await });
        Self { address, health, database, seen, stop, task: Some(task) }
    }

    pub(crate) fn channel(&self) -> Channel {
        Endpoint::from_shared(format!("http://{}", self.address)).unwrap().connect_lazy()
    }

    /// A client without the client stack: sees what the server itself answers.
    pub(crate) fn orders(&self) -> OrderServiceClient<Channel> {
        OrderServiceClient::new(self.channel())
    }

    /// A client on a bare HTTP/2 connection: tonic's channel acts on `grpc-timeout` itself, before the server does.
    pub(crate) async fn bare_orders(&self) -> OrderServiceClient<BareClient> {
        let origin = format!("http://{}", self.address).parse().unwrap();
        OrderServiceClient::with_origin(self.bare_client().await, origin)
    }

    /// For requests of any kind.
    pub(crate) async fn bare_client(&self) -> BareClient {
        let stream = TokioIo::new(TcpStream::connect(self.address).await.unwrap());
        let (sender, connection) = http2::handshake(TokioExecutor::new(), stream).await.unwrap();
        tokio::spawn(connection);
        BareClient(sender)
    }

    pub(crate) fn begin_stop(&self) {
        self.stop.cancel();
    }

    pub(crate) fn has_stopped(&self) -> bool {
        self.task.as_ref().is_none_or(JoinHandle::is_finished)
    }

    pub(crate) async fn stopped(&mut self) {
        let task = self.task.take().unwrap();
        tokio::time::timeout(Duration::from_secs(10), task).await.unwrap().unwrap().unwrap();
    }
}

impl Drop for TestServer {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(task) = self.task.take() {
            task.abort();
        }
    }
}

#[derive(Clone)]
pub(crate) struct BareClient(http2::SendRequest<Body>);

impl Service<http::Request<Body>> for BareClient {
    type Response = http::Response<Incoming>;
    type Error = hyper::Error;
    type Future = BoxFuture<'static, Result<Self::Response, Self::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        Box::pin(self.0.send_request(request))
    }
}

/// The client stack on `target`, without retries.
pub(crate) fn stack(target: &str) -> OrderServiceClient<ClientStack> {
    OrderServiceClient::new(connected(target, &[]))
}

/// The client stack on `target`, which may repeat calls of these methods.
pub(crate) fn connected(target: &str, idempotent: &[&str]) -> ClientStack {
    let tasks = TaskGroup::new("client", &Supervisor::new());
    let stack = connect(&ClientSettings::new(target.parse().unwrap()), idempotent, &tasks);
    // Its tasks end with the test's runtime.
    std::mem::forget(tasks);
    stack
}

/// Waits until `condition` holds; fails after ten seconds.
pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(10), "never happened: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
