//! The server's layer: tells the handler its deadline and answers in its place when it has passed.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{Request, Response};
use tonic::body::Body;
use tower::{Layer, Service};

use super::{DEFAULT, Deadline, Scope, limit, read};
use crate::call::{Answer, Call};
use crate::error::ErrorDomain;
use crate::method;

/// Ends each call at its deadline with DEADLINE_EXCEEDED. The handler's future is dropped then; what must not be
/// interrupted runs in tasks of its own (T7).
#[derive(Clone)]
pub(crate) struct DeadlineLayer(pub(crate) ErrorDomain);

#[derive(Clone)]
pub(crate) struct Limited<S> {
    inner: S,
    domain: ErrorDomain,
}

impl<S> Layer<S> for DeadlineLayer {
    type Service = Limited<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Limited { inner, domain: self.0 }
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
        let (default, scope) =
            if method.streams { (None, Scope::ResponseAndBody) } else { (Some(DEFAULT), Scope::Response) };
        let Some(time) = read(request.headers()).or(default) else {
            return Box::pin(self.inner.call(request));
        };
        let deadline = Deadline::after(time);
        deadline.store(request.extensions_mut());
        let domain = self.domain;
        Box::pin(limit(self.inner.call(request), deadline, scope, move || domain.deadline_exceeded()))
    }
}
