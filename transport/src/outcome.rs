//! What a call came to.
//!
//! A gRPC status is in the response's headers when there is no message, else in the trailers behind the last one. A
//! call that is dropped before that was cancelled by whoever let go of it.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, Response};
use http_body::{Frame, SizeHint};
use opentelemetry::ContextGuard;
use tonic::{Code, Status};

use crate::call::AnswerBody;

/// No text, which would be parsed for each look.
pub(crate) static GRPC_STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// Is told once what a call came to.
pub(crate) trait Observer: Send + Unpin + 'static {
    fn ended(self, code: Code);

    /// Makes the call's trace current while its body is polled.
    fn enter(&self) -> Option<ContextGuard> {
        None
    }
}

/// Both are told; the call's trace is that of the first one which has one.
impl<A: Observer, B: Observer> Observer for (A, B) {
    fn ended(self, code: Code) {
        self.0.ended(code);
        self.1.ended(code);
    }

    fn enter(&self) -> Option<ContextGuard> {
        self.0.enter().or_else(|| self.1.enter())
    }
}

/// A call whose outcome is not known yet. Dropping it says CANCELLED.
pub(crate) struct Pending<O: Observer>(Option<O>);

impl<O: Observer> Pending<O> {
    pub(crate) fn new(observer: O) -> Self {
        Self(Some(observer))
    }

    /// Reports the status in the headers of `response`, or the one that its body will end with.
    pub(crate) fn watch<B>(mut self, response: Response<B>) -> Response<WatchedBody<B, O>> {
        if let Some(code) = status_so_far(&response) {
            self.end(code);
        }
        response.map(|body| WatchedBody { body, pending: self })
    }

    /// See [`Observer::enter`].
    pub(crate) fn enter(&self) -> Option<ContextGuard> {
        self.0.as_ref().and_then(Observer::enter)
    }

    /// The observer, before the outcome is known.
    pub(crate) fn observer(&mut self) -> &mut O {
        self.0.as_mut().expect("it is taken by what ends this, and by nothing else")
    }

    fn end(&mut self, code: Code) {
        if let Some(observer) = self.0.take() {
            observer.ended(code);
        }
    }
}

impl<O: Observer> Drop for Pending<O> {
    fn drop(&mut self) {
        self.end(Code::Cancelled);
    }
}

/// The status that stands in the headers already, because there is no message.
pub(crate) fn status_so_far<B>(response: &Response<B>) -> Option<Code> {
    status_in(response.headers()).or_else(|| refused_by_http(response))
}

fn status_in(headers: &HeaderMap) -> Option<Code> {
    headers.get(&GRPC_STATUS).map(|value| Code::from_bytes(value.as_bytes()))
}

/// What is no gRPC at all is answered with an HTTP status and nothing else.
fn refused_by_http<B>(response: &Response<B>) -> Option<Code> {
    (response.status() != http::StatusCode::OK).then_some(Code::Unknown)
}

/// A body whose trailers say what the call came to.
pub(crate) struct WatchedBody<B, O: Observer> {
    body: B,
    pending: Pending<O>,
}

impl<B: AnswerBody, O: Observer> http_body::Body for WatchedBody<B, O> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let entered = this.pending.enter();
        let frame = ready!(Pin::new(&mut this.body).poll_frame(context));
        drop(entered);
        match &frame {
            Some(Ok(frame)) => {
                if let Some(trailers) = frame.trailers_ref() {
                    this.pending.end(status_in(trailers).unwrap_or(Code::Unknown));
                }
            }
            Some(Err(status)) => this.pending.end(status.code()),
            // The stream ended without saying how.
            None => this.pending.end(Code::Unknown),
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
