//! Ending what takes too long.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::Bytes;
use http::{HeaderMap, Response};
use http_body::{Frame, SizeHint};
use tokio::time::Sleep;
use tonic::Status;
use tonic::body::Body;

use super::Deadline;

/// What the deadline covers.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scope {
    /// Until the response begins: a unary handler is done by then.
    Response,
    /// Until the last trailer.
    ResponseAndBody,
}

/// Runs `answer` until `deadline`, then drops it and answers `expired`.
///
/// tonic has timers for the same header, which answer CANCELLED: a server's outside of all layers, a channel's inside.
/// This one wins: it starts when this function is called, before either, and is looked at before the answer.
pub(crate) fn limit<F>(
    answer: F,
    deadline: Deadline,
    scope: Scope,
    expired: impl FnOnce() -> Status + Send + Unpin + 'static,
) -> impl Future<Output = Result<Response<Body>, Infallible>> + Send
where
    F: Future<Output = Result<Response<Body>, Infallible>> + Send,
{
    let mut timer = Box::pin(tokio::time::sleep_until(deadline.instant()));
    async move {
        tokio::select! {
            biased;
            () = &mut timer => Ok(expired().into_http()),
            Ok(response) = answer => Ok(match scope {
                Scope::Response => response,
                Scope::ResponseAndBody => {
                    response.map(|body| Body::new(LimitedBody { body: Some(body), timer, expired: Some(expired) }))
                }
            }),
        }
    }
}

/// A body that ends with `expired` as its trailers when the time is over. `body` is gone from then on.
struct LimitedBody<E> {
    body: Option<Body>,
    timer: Pin<Box<Sleep>>,
    expired: Option<E>,
}

impl<E: FnOnce() -> Status + Unpin> http_body::Body for LimitedBody<E> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        // First, so that a stream that always has something to send ends too.
        if this.timer.as_mut().poll(context).is_pending() {
            return Pin::new(body).poll_frame(context);
        }
        this.body = None;
        let trailers = this.expired.take().map(|expired| trailers_of(&expired()));
        Poll::Ready(trailers.map(|trailers| trailers.map(Frame::trailers)))
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map(Body::size_hint).unwrap_or_default()
    }
}

fn trailers_of(status: &Status) -> Result<HeaderMap, Status> {
    let mut trailers = HeaderMap::new();
    status.add_header(&mut trailers)?;
    Ok(trailers)
}
