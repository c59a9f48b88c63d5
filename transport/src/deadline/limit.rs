//! Ending what takes too long.

use std::convert::Infallible;
use std::marker::PhantomData;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures::future::BoxFuture;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::{Sleep, sleep_until};
use tonic::Status;
use tonic::body::Body;

use super::Deadline;
use crate::call::AnswerBody;

/// What the deadline covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Until the response begins: a unary handler is done by then.
    Response,
    /// Until the last trailer.
    ResponseAndBody,
}

/// What a call is answered whose time is over, or that is ended for another reason.
pub(crate) trait Expired: Send + Unpin + 'static {
    fn status(&self) -> Status;
}

impl<F: Fn() -> Status + Send + Unpin + 'static> Expired for F {
    fn status(&self) -> Status {
        self()
    }
}

pin_project_lite::pin_project! {
    /// Runs `answer` until the deadline, then answers in its place.
    ///
    /// tonic has timers for the same header, which answer CANCELLED: a server's outside of all layers, a channel's
    /// inside. This one wins: it starts when it is made, before either, and is looked at before the answer.
    pub(crate) struct Limit<F, E> {
        #[pin]
        answer: F,
        #[pin]
        timer: Sleep,
        scope: Scope,
        expired: Option<E>,
    }
}

pin_project_lite::pin_project! {
    /// Runs `answer` without a deadline, for a caller that wants the same kind of body.
    pub(crate) struct Unlimited<F, E> {
        #[pin]
        answer: F,
        kind: PhantomData<fn() -> E>,
    }
}

/// A body that ends when the time is over, or whatever else its future waits for.
#[derive(Default)]
pub(crate) enum LimitedBody<B, E> {
    /// No deadline, or the call was done before it.
    Unlimited(B),
    Limited(B, BoxFuture<'static, ()>, E),
    /// That came; the body is gone.
    #[default]
    Ended,
}

/// [`Limit`] for a response whose body is boxed.
pub(crate) fn limit<F>(
    answer: F,
    deadline: Deadline,
    scope: Scope,
    expired: impl Expired,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let limited = Limit::new(answer, deadline, scope, expired);
    async move {
        let Ok(response) = limited.await;
        Ok(response.map(Body::new))
    }
}

impl<F, E> Limit<F, E> {
    pub(crate) fn new(answer: F, deadline: Deadline, scope: Scope, expired: E) -> Self {
        Self { answer, timer: sleep_until(deadline.instant()), scope, expired: Some(expired) }
    }
}

impl<F, B, E> Future for Limit<F, E>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: AnswerBody,
    E: Expired,
{
    type Output = Result<Response<LimitedBody<B, E>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let mut this = self.project();
        if this.timer.as_mut().poll(context).is_ready() {
            let expired = this.expired.take().expect("a future is not polled after it was ready");
            return Poll::Ready(Ok(expired.status().into_http()));
        }
        let Ok(response) = ready!(this.answer.poll(context));
        let limit = this.expired.take().filter(|_| *this.scope == Scope::ResponseAndBody);
        Poll::Ready(Ok(response.map(|body| match limit {
            Some(expired) => LimitedBody::Limited(body, Box::pin(sleep_until(this.timer.deadline())), expired),
            None => LimitedBody::Unlimited(body),
        })))
    }
}

impl<F, E> Unlimited<F, E> {
    pub(crate) fn new(answer: F) -> Self {
        Self { answer, kind: PhantomData }
    }
}

impl<F, B, E> Future for Unlimited<F, E>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<LimitedBody<B, E>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        self.project().answer.poll(context).map_ok(|response| response.map(LimitedBody::Unlimited))
    }
}

impl<B: AnswerBody, E: Expired> http_body::Body for LimitedBody<B, E> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let status = match &mut *self {
            Self::Unlimited(body) => return Pin::new(body).poll_frame(context),
            // The end first, so that a stream that always has something to send ends too.
            Self::Limited(body, end, expired) => match end.as_mut().poll(context) {
                Poll::Pending => return Pin::new(body).poll_frame(context),
                Poll::Ready(()) => expired.status(),
            },
            Self::Ended => return Poll::Ready(None),
        };
        *self = Self::Ended;
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Unlimited(body) | Self::Limited(body, ..) => body.is_end_stream(),
            Self::Ended => true,
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Unlimited(body) | Self::Limited(body, ..) => body.size_hint(),
            Self::Ended => SizeHint::with_exact(0),
        }
    }
}
