//! The outermost layer: every call is counted, timed and traced, whatever becomes of it below.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::AnswerBody;
use crate::method;
use crate::metrics::{Measurement, ServerMetrics};
use crate::outcome::{Observer as _, Pending, WatchedBody};
use crate::trace::OpenSpan;

/// RED and the server span end together, when the last trailer has passed or somebody lets go of the call.
#[derive(Clone, Default)]
pub(super) struct ObserveLayer(ServerMetrics);

#[derive(Clone)]
pub(super) struct Observe<S> {
    inner: S,
    metrics: ServerMetrics,
}

type Observed = (OpenSpan, Measurement);

pin_project_lite::pin_project! {
    /// A call under its span. `pending` is gone once there is a response.
    pub(super) struct Observing<F> {
        #[pin]
        answer: F,
        pending: Option<Pending<Observed>>,
    }
}

impl<S> Layer<S> for ObserveLayer {
    type Service = Observe<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Observe { inner, metrics: self.0.clone() }
    }
}

impl<S, B> Service<Request<Body>> for Observe<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: AnswerBody,
{
    type Response = Response<WatchedBody<B, Observed>>;
    type Error = Infallible;
    type Future = Observing<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        method.store(request.extensions_mut());
        let measurement = self.metrics.start(method);
        let span = OpenSpan::server(method, request.headers());
        let entered = span.enter();
        let answer = self.inner.call(request);
        drop(entered);
        Observing { answer, pending: Some(Pending::new((span, measurement))) }
    }
}

impl<F, B> Future for Observing<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<WatchedBody<B, Observed>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let entered = this.pending.as_ref().and_then(Pending::enter);
        let Ok(response) = ready!(this.answer.poll(context));
        drop(entered);
        let pending = this.pending.take().expect("a future is not polled after it was ready");
        Poll::Ready(Ok(pending.watch(response)))
    }
}
