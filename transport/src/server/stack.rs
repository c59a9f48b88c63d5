//! The layers that every call to a service passes.

use std::convert::Infallible;

use http::{Request, Response};
use tonic::body::Body;
use tonic::service::Routes;
use tower::layer::util::Identity;
use tower::{Layer, Service, ServiceBuilder};

use super::explain::ExplainLayer;
use super::panic::CatchPanicLayer;
use crate::deadline::DeadlineLayer;
use crate::error::ErrorDomain;
use crate::metrics::MetricsLayer;
use crate::trace::TraceLayer;

/// Outermost first. tonic's own timeout, load shedding and concurrency limit sit outside of all of this and answer what
/// nobody would see: they are not used.
pub(super) fn stack(
    domain: ErrorDomain,
) -> impl Layer<
    Routes,
    Service: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
                 + Clone
                 + Send
                 + Sync
                 + 'static,
> + Clone {
    let stack: ServiceBuilder<Identity> = ServiceBuilder::new();
    stack
        // Counts and times every call, whatever becomes of it below.
        .layer(MetricsLayer::server())
        // Opens the call's span: everything below is logged and traced under it.
        .layer(TraceLayer::server())
        // Turns a panic into INTERNAL, inside of the two above, so that both see it and its log line has the trace.
        .layer(CatchPanicLayer(domain))
        // Puts reasons on what tonic refuses by itself: unknown methods, messages too large or malformed.
        .layer(ExplainLayer(domain))
        // Ends the call in time; next to the handler, so that nothing above is cut off.
        .layer(DeadlineLayer(domain))
        .into_inner()
}
