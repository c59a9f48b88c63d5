//! The shape of every layer: request in, response out, nothing that fails in any other way than a gRPC status.

use std::convert::Infallible;

use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::body::Body;
use tower::Service;

/// What a layer returns. A failed call is a response with a status.
pub(crate) type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// What a layer wraps.
pub(crate) trait Call:
    Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
    + Clone
    + Send
    + Sync
    + 'static
{
}

impl<S> Call for S where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>
        + Clone
        + Send
        + Sync
        + 'static
{
}
