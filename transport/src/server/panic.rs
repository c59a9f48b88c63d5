//! A handler that panics answers INTERNAL. Without this its caller sees a broken stream, as from a failing network.

use std::any::Any;
use std::convert::Infallible;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures::future::{Either, Ready, ready};
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::AnswerBody;
use crate::error::ErrorDomain;
use crate::method::{self, Method};

#[derive(Clone)]
pub(super) struct CatchPanicLayer(pub(super) ErrorDomain);

#[derive(Clone)]
pub(super) struct CatchPanic<S> {
    inner: S,
    domain: ErrorDomain,
}

/// Whose panics are caught.
#[derive(Clone, Copy)]
struct Guard {
    method: &'static Method,
    domain: ErrorDomain,
}

pin_project_lite::pin_project! {
    pub(super) struct Guarded<F> {
        #[pin]
        answer: F,
        guard: Guard,
    }
}

/// A response stream that panics ends with INTERNAL in its trailers. It has no body from then on.
#[derive(Default)]
pub(super) struct GuardedBody<B>(Option<(B, Guard)>);

impl<S> Layer<S> for CatchPanicLayer {
    type Service = CatchPanic<S>;

    fn layer(&self, inner: S) -> Self::Service {
        CatchPanic { inner, domain: self.0 }
    }
}

impl<S, B> Service<Request<Body>> for CatchPanic<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: AnswerBody,
{
    type Response = Response<GuardedBody<B>>;
    type Error = Infallible;
    type Future = Either<Guarded<S::Future>, Ready<Result<Self::Response, Infallible>>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let guard = Guard { method: method::of(&request), domain: self.domain };
        // The layers below do some of their work here already.
        match guard.run(|| self.inner.call(request)) {
            Ok(answer) => Either::Left(Guarded { answer, guard }),
            Err(status) => Either::Right(ready(Ok(status.into_http()))),
        }
    }
}

impl<F, B> Future for Guarded<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: AnswerBody,
{
    type Output = Result<Response<GuardedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let guard = *this.guard;
        match guard.run(|| this.answer.poll(context)) {
            Ok(answer) => answer.map_ok(|response| response.map(|body| GuardedBody(Some((body, guard))))),
            Err(status) => Poll::Ready(Ok(status.into_http())),
        }
    }
}

impl<B: AnswerBody> http_body::Body for GuardedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let Some((body, guard)) = &mut self.0 else { return Poll::Ready(None) };
        let polled = guard.run(|| Pin::new(body).poll_frame(context));
        polled.unwrap_or_else(|status| {
            self.0 = None;
            let mut trailers = HeaderMap::new();
            Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
        })
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(|(body, _)| body.is_end_stream())
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map(|(body, _)| body.size_hint()).unwrap_or_default()
    }
}

impl Guard {
    /// Unwind safety: what handlers share with others is behind locks that poison, or is never half written.
    fn run<T>(self, work: impl FnOnce() -> T) -> Result<T, Status> {
        catch_unwind(AssertUnwindSafe(work)).map_err(|panic| self.report(&*panic))
    }

    /// The log has the text of the panic, the caller has not.
    fn report(self, panic: &(dyn Any + Send)) -> Status {
        let text = panic.downcast_ref::<String>().map(String::as_str).or_else(|| panic.downcast_ref::<&str>().copied());
        tracing::error!(rpc.method = self.method.name, panic = text.unwrap_or("no text"), "handler panicked");
        self.domain.internal()
    }
}
