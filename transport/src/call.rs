//! The shape of every layer: request in, response out, nothing that fails in any other way than a gRPC status.

use std::convert::Infallible;

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::Service;

/// What a layer of the client returns. A failed call is a response with a status.
pub(crate) type Answer = BoxFuture<'static, Result<Response<Body>, Infallible>>;

/// What a layer of the client wraps.
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

/// The body that a layer of the server hands on; its default is the empty one of a response that is all headers.
///
/// Layers of the server name their futures and bodies instead of boxing them: every call passes all of them, and a box
/// for each costs more than what most of them do.
pub(crate) trait AnswerBody:
    http_body::Body<Data = Bytes, Error = Status> + Default + Unpin + Send + 'static
{
}

impl<B> AnswerBody for B where B: http_body::Body<Data = Bytes, Error = Status> + Default + Unpin + Send + 'static {}
