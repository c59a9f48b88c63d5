//! Streams that others serve for us and never end: a tool that keeps a reflection stream open must not hold up a stop.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;
use tower::Service;

use crate::draining::RETRY_AFTER;
use crate::error::ErrorDomain;

/// A service whose answers end with UNAVAILABLE, reason DRAINING, once `stop` is cancelled.
#[derive(Clone, Debug)]
pub(super) struct Ending<S> {
    pub(super) inner: S,
    pub(super) stop: CancellationToken,
    pub(super) domain: ErrorDomain,
}

/// `None` once it has ended so.
struct EndingBody(Option<Open>);

struct Open {
    body: Body,
    stopped: Pin<Box<WaitForCancellationFutureOwned>>,
    /// What an answer ends with. Requests just end: whoever reads them holds the stream open until then.
    farewell: Option<Status>,
}

impl EndingBody {
    fn around(body: Body, stop: &CancellationToken, farewell: Option<Status>) -> Body {
        Body::new(Self(Some(Open { body, stopped: Box::pin(stop.clone().cancelled_owned()), farewell })))
    }
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
        let (stop, farewell) = (self.stop.clone(), self.domain.draining(RETRY_AFTER));
        let answer = self.inner.call(request.map(|body| EndingBody::around(body, &stop, None)));
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(response.map(|body| EndingBody::around(body, &stop, Some(farewell))))
        })
    }
}

impl http_body::Body for EndingBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(open) = &mut self.0 else { return Poll::Ready(None) };
        if open.stopped.as_mut().poll(context).is_pending() {
            return Pin::new(&mut open.body).poll_frame(context);
        }
        let farewell = open.farewell.take();
        self.0 = None;
        Poll::Ready(farewell.map(|status| {
            let mut trailers = HeaderMap::new();
            status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|open| open.body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::default()
    }
}
