//! A handler that panics answers INTERNAL. Without this its caller sees a broken stream, as from a failing network.

use std::any::Any;
use std::convert::Infallible;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::FutureExt as _;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::{Answer, Call};
use crate::error::ErrorDomain;
use crate::method::{self, Method};

#[derive(Clone)]
pub(super) struct CatchPanicLayer(pub(super) ErrorDomain);

#[derive(Clone)]
pub(super) struct CatchPanic<S> {
    inner: S,
    domain: ErrorDomain,
}

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic { inner, domain: self.0 }
    }
}

impl<S: Call> Service<Request<Body>> for CatchPanic<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        let domain = self.domain;
        // Unwind safety: what the handler shares with others is behind locks that poison, or is never half written.
        let answer = AssertUnwindSafe(self.inner.call(request)).catch_unwind();
        Box::pin(async move {
            Ok(match answer.await {
                Ok(Ok(response)) => response.map(|body| Body::new(GuardedBody { body: Some(body), method, domain })),
                Err(panic) => report(&*panic, method, domain).into_http(),
            })
        })
    }
}

/// A response stream that panics ends with INTERNAL in its trailers. `body` is gone from then on.
struct GuardedBody {
    body: Option<Body>,
    method: &'static Method,
    domain: ErrorDomain,
}

impl http_body::Body for GuardedBody {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some(body) = &mut self.body else { return Poll::Ready(None) };
        let polled = std::panic::catch_unwind(AssertUnwindSafe(|| Pin::new(body).poll_frame(context)));
        polled.unwrap_or_else(|panic| {
            self.body = None;
            let status = report(&*panic, self.method, self.domain);
            let mut trailers = HeaderMap::new();
            Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

/// The log has the text of the panic, the caller has not.
fn report(panic: &(dyn Any + Send), method: &Method, domain: ErrorDomain) -> Status {
    let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
    tracing::error!(rpc.method = method.name, panic = text.unwrap_or("no text"), "handler panicked");
    domain.internal()
}
