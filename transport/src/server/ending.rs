//! Streams that others serve for us and never end: a tool that keeps a reflection stream open must not hold up a stop.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::StreamExt as _;
use futures::future::BoxFuture;
use http::{Request, Response};
use http_body_util::{BodyStream, StreamBody};
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::deadline::LimitedBody;
use crate::draining::RETRY_AFTER;
use crate::error::ErrorDomain;

/// A service whose calls end once `stop` is cancelled, with UNAVAILABLE, reason DRAINING.
#[derive(Clone, Debug)]
pub(super) struct Ending<S> {
    pub(super) inner: S,
    pub(super) stop: CancellationToken,
    pub(super) domain: ErrorDomain,
}

impl<S: NamedService> NamedService for Ending<S> {
    const NAME: &'static str = S::NAME;
}

impl<S> Service<Request<Body>> for Ending<S>
where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible, Future: Send + 'static>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<'static, Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let (stop, domain) = (self.stop.clone(), self.domain);
        // Whoever reads the request holds the stream open until it ends.
        let stopped = stop.clone().cancelled_owned();
        let answer =
            self.inner.call(request.map(|body| Body::new(StreamBody::new(BodyStream::new(body).take_until(stopped)))));
        Box::pin(async move {
            let Ok(response) = answer.await;
            let farewell = move || domain.draining(RETRY_AFTER);
            Ok(response.map(|body| Body::new(LimitedBody::Limited(body, Box::pin(stop.cancelled_owned()), farewell))))
        })
    }
}
