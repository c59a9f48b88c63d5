//! The layers that every call to another service passes.

use std::convert::Infallible;
use std::fmt;
use std::task::{Context, Poll};

use http::{Request, Response};
use runtime::tasks::TaskGroup;
use tonic::body::Body;
use tower::{Service, ServiceBuilder};

use super::deadline::{LimitLayer, Limited};
use super::retry::{RetryLayer, Retrying};
use super::settings::ClientSettings;
use super::target::Target;
use crate::call::Answer;
use crate::metrics::{Metrics, MetricsLayer};
use crate::trace::{Trace, TraceLayer};

/// Connections to one target, to be used in generated clients: `InventoryServiceClient::new(stack.clone())`. Clones
/// share the connections, the breaker and the budget.
#[derive(Clone)]
pub struct ClientStack {
    stack: Metrics<Trace<Limited<Retrying<Target>>>>,
    target: Target,
    server_address: String,
}

/// Prepares calls to the target of `settings`. Nothing is connected before the first call, and nothing fails here: a
/// target that is away answers UNAVAILABLE, a silent one DEADLINE_EXCEEDED.
///
/// `idempotent` names the methods whose calls may be repeated, `inventory.v1.InventoryService/Reserve`; all others are
/// sent once. `tasks` get the one that looks host names up.
///
/// Must be called within a tokio runtime, which the connections then live on.
///
/// # Panics
/// If `idempotent` names what is no unary method.
pub fn connect(settings: &ClientSettings, idempotent: &[&str], tasks: &TaskGroup) -> ClientStack {
    let server_address = settings.endpoints.to_string();
    let target = Target::open(settings, tasks);
    let stack = ServiceBuilder::new()
        // Counts and times what the caller of this service waits for.
        .layer(MetricsLayer::client(server_address.clone()))
        // Opens the call's span and sends its ids along.
        .layer(TraceLayer::client(&server_address))
        // Sends what is left of the time, and ends the call here too when a peer keeps silent. All attempts share it.
        .layer(LimitLayer { call_timeout: settings.call_timeout })
        // Sends what may be repeated again, as long as time, budget and peer allow it.
        .layer(RetryLayer::new(idempotent, server_address.clone()))
        // One attempt: the breaker lets it through or not, the less busy of two addresses gets it.
        .service(target.clone());
    ClientStack { stack, target, server_address }
}

impl ClientStack {
    pub(super) fn target(&self) -> &Target {
        &self.target
    }

    /// The target as configured.
    pub(super) fn server_address(&self) -> &str {
        &self.server_address
    }
}

impl Service<Request<Body>> for ClientStack {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.stack.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        self.stack.call(request)
    }
}

impl fmt::Debug for ClientStack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("ClientStack")
    }
}
