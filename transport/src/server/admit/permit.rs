//! What an admitted call holds: a place among the unary calls until its handler has answered, or one among the streams
//! until its last frame. It is given back on drop, so a cancelled call gives it back too.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Response;
use http_body::{Frame, SizeHint};
use tokio::time::Instant;
use tonic::Status;

use super::caller::Caller;
use super::load::Left;
use super::{Gate, lock};
use crate::call::AnswerBody;

pub(in crate::server) enum Permit {
    /// Health and reflection.
    Unlimited,
    Call(CallPermit),
    Stream(StreamPermit),
}

pub(in crate::server) struct CallPermit {
    gate: Arc<Gate>,
    began: Instant,
    left: Left,
}

pub(in crate::server) struct StreamPermit {
    gate: Arc<Gate>,
    caller: Caller,
}

pin_project_lite::pin_project! {
    /// A call with its permit.
    pub(in crate::server) struct Admitted<F> {
        #[pin]
        answer: F,
        permit: Permit,
    }
}

/// A body, and the place of its stream if it is one.
#[derive(Default)]
pub(in crate::server) struct PermittedBody<B> {
    body: B,
    _permit: Option<StreamPermit>,
}

impl Permit {
    pub(super) fn call(gate: &Arc<Gate>) -> Self {
        gate.metrics.inside.increment(1.0);
        Self::Call(CallPermit { gate: Arc::clone(gate), began: Instant::now(), left: Left::Abandoned })
    }

    pub(super) fn stream(gate: &Arc<Gate>, caller: Caller) -> Self {
        Self::Stream(StreamPermit { gate: Arc::clone(gate), caller })
    }

    /// The call is answered; what its body goes on to hold.
    fn answered(&mut self) -> Option<StreamPermit> {
        match std::mem::replace(self, Self::Unlimited) {
            Self::Unlimited => None,
            Self::Stream(permit) => Some(permit),
            Self::Call(mut permit) => {
                permit.left = Left::Answered;
                None
            }
        }
    }
}

impl Drop for CallPermit {
    fn drop(&mut self) {
        let mut load = lock(&self.gate.load);
        let before = load.limit();
        load.leave(self.began, Instant::now(), self.left);
        if load.limit() != before {
            self.gate.metrics.limit.set(load.limit() as f64);
        }
        drop(load);
        self.gate.metrics.inside.decrement(1.0);
    }
}

impl Drop for StreamPermit {
    fn drop(&mut self) {
        lock(&self.gate.streams).close(&self.caller);
    }
}

impl<F> Admitted<F> {
    pub(super) fn new(answer: F, permit: Permit) -> Self {
        Self { answer, permit }
    }
}

impl<F, B> Future for Admitted<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
{
    type Output = Result<Response<PermittedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let Ok(response) = ready!(this.answer.poll(context));
        let permit = this.permit.answered();
        Poll::Ready(Ok(response.map(|body| PermittedBody { body, _permit: permit })))
    }
}

impl<B: AnswerBody> http_body::Body for PermittedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
