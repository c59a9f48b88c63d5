//! The layers that every call to another service passes.

use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Service, ServiceBuilder};

use super::connections::Connections;
use super::deadline::{LimitLayer, Limited};
use super::settings::ClientSettings;
use crate::call::Answer;
use crate::metrics::{Metrics, MetricsLayer};
use crate::trace::{Trace, TraceLayer};

/// Connections to one target, to be used in generated clients: `InventoryServiceClient::new(stack.clone())`. Clones
/// share the connections.
#[derive(Clone)]
pub struct ClientStack(Metrics<Trace<Limited<Connections>>>);

/// Prepares calls to the target of `settings`. Nothing is connected before the first call, and nothing fails here: a
/// target that is away answers UNAVAILABLE, a silent one DEADLINE_EXCEEDED.
///
/// Must be called within a tokio runtime, which the connections then live on.
pub fn connect(settings: &ClientSettings) -> ClientStack {
    let server_address = settings.endpoints.to_string();
    let stack = ServiceBuilder::new()
        // Counts and times what the caller of this service waits for.
        .layer(MetricsLayer::client(server_address.clone()))
        // Opens the call's span and sends its ids along.
        .layer(TraceLayer::client(&server_address))
        // Sends what is left of the time, and ends the call here too when a peer keeps silent. Choosing among peers,
        // retries and a breaker belong below this line: they share the call's time.
        .layer(LimitLayer { call_timeout: settings.call_timeout })
        .service(Connections::open(settings));
    ClientStack(stack)
}

impl Service<Request<Body>> for ClientStack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.0.call(request)
    }
}

impl fmt::Debug for ClientStack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientStack")
    }
}
