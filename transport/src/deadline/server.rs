//! The server's layer: tells the handler its deadline and answers in its place when it has passed.

use std::convert::Infallible;
use std::task::{Context, Poll};

use futures::future::Either;
use http::{Request, Response};
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use super::limit::{Expired, Limit, LimitedBody, Unlimited};
use super::{DEFAULT, Deadline, LONGEST, Scope, read};
use crate::call::AnswerBody;
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

impl<S, B> Service<Request<Body>> for Limited<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: AnswerBody,
{
    type Response = Response<LimitedBody<B, ErrorDomain>>;
    type Error = Infallible;
    type Future = Either<Limit<S::Future, ErrorDomain>, Unlimited<S::Future, ErrorDomain>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let asked = read(request.headers());
        let (time, scope) = if method::of(&request).streams {
            (asked, Scope::ResponseAndBody)
        } else {
            (Some(asked.unwrap_or(DEFAULT).min(LONGEST)), Scope::Response)
        };
        let Some(time) = time else {
            return Either::Right(Unlimited::new(self.inner.call(request)));
        };
        let deadline = Deadline::after(time);
        deadline.store(request.extensions_mut());
        Either::Left(Limit::new(self.inner.call(request), deadline, scope, self.domain))
    }
}

impl Expired for ErrorDomain {
    fn status(&self) -> Status {
        self.deadline_exceeded()
    }
}
