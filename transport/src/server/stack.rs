//! The layers that every call to a service passes.

use std::convert::Infallible;

use bytes::Bytes;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tonic::service::Routes;
use tower::layer::util::Identity;
use tower::{Layer, Service, ServiceBuilder};

use super::admit::{AdmitLayer, AdmitSettings, Authentication};
use super::explain::ExplainLayer;
use super::observe::ObserveLayer;
use super::panic::CatchPanicLayer;
use crate::deadline::DeadlineLayer;
use crate::error::ErrorDomain;

/// Outermost first. tonic's own timeout, load shedding and concurrency limit sit outside of all of this and answer what
/// nobody would see: they are not used.
pub(super) fn stack(
    domain: ErrorDomain,
    authentication: Authentication,
    admit: AdmitSettings,
) -> impl Layer<
    Routes,
    Service: Service<
        Request<Body>,
        Response = Response<impl http_body::Body<Data = Bytes, Error = Status> + Send + 'static>,
        Error = Infallible,
        Future: Send + 'static,
    > + Clone
                 + Send
                 + Sync
                 + 'static,
> + Clone {
    let stack: ServiceBuilder<Identity> = ServiceBuilder::new();
    stack
        // Counts and times every call, whatever becomes of it below, and opens its span: everything below is logged and
        // traced under it.
        .layer(ObserveLayer::default())
        // Turns a panic into INTERNAL, inside of the above, so that it is counted and its log line has the trace.
        .layer(CatchPanicLayer(domain))
        // Puts reasons on what tonic refuses by itself: unknown methods, messages too large or malformed.
        .layer(ExplainLayer(domain))
        // Asks who calls, keeps callers to their rate, and refuses what is too much, before any of it is read.
        .layer(AdmitLayer::new(admit, authentication, domain))
        // Ends the call in time; next to the handler, so that nothing above is cut off.
        .layer(DeadlineLayer(domain))
        .into_inner()
}
