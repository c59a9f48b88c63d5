//! Every call has a deadline (I8), sent along and enforced here too.

use std::convert::Infallible;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::{Answer, Call};
use crate::deadline::{Deadline, Scope, limit, read, write};
use crate::method;

#[derive(Clone)]
pub(super) struct LimitLayer {
    pub(super) call_timeout: Duration,
}

#[derive(Clone)]
pub(crate) struct Limited<S> {
    inner: S,
    call_timeout: Duration,
}

impl<S> Layer<S> for LimitLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, call_timeout: self.call_timeout }
    }
}

impl<S: Call> Service<Request<Body>> for Limited<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        let default = (!method.streams).then_some(self.call_timeout);
        let Some(time) = read(request.headers()).or(default) else {
            return Box::pin(self.inner.call(request));
        };
        let deadline = Deadline::after(time);
        write(time, request.headers_mut());
        deadline.store(request.extensions_mut());
        let answer = self.inner.call(request);
        Box::pin(limit(answer, deadline, Scope::ResponseAndBody, || {
            Status::deadline_exceeded("no answer within the call's deadline")
        }))
    }
}
