//! tonic refuses some calls before a handler sees them: no such method, a message too large, bytes that are no message.
//! Its statuses carry no details; here they get the code and the reason that the contract promises.

use std::convert::Infallible;
use std::task::{Context, Poll};

use http::{HeaderMap, Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::call::{Answer, Call};
use crate::error::ErrorDomain;

/// How prost's decoding errors begin; tonic-prost passes them on as INTERNAL.
const DECODING_FAILED: &str = "failed to decode Protobuf message";

#[derive(Clone)]
pub(super) struct ExplainLayer(pub(super) ErrorDomain);

#[derive(Clone)]
pub(super) struct Explain<S> {
    inner: S,
    domain: ErrorDomain,
}

impl<S> Layer<S> for ExplainLayer {
    type Service = Explain<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Explain { inner, domain: self.0 }
    }
}

impl<S: Call> Service<Request<Body>> for Explain<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let domain = self.domain;
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(explained(domain, response.headers()).map_or(response, |status| status.into_http()))
        })
    }
}

/// The status to answer instead; none if a handler has answered.
fn explained(domain: ErrorDomain, headers: &HeaderMap) -> Option<Status> {
    let status = Status::from_header_map(headers)?;
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::Unimplemented => Some(domain.unimplemented()),
        // tonic's code for a message over the limit. No handler of ours answers OUT_OF_RANGE.
        Code::OutOfRange => Some(domain.message_too_large()),
        Code::Internal if status.message().starts_with(DECODING_FAILED) => Some(domain.malformed_message()),
        Code::Internal | Code::Unknown => {
            tracing::error!(code = ?status.code(), status.message = status.message(), "call failed without a reason");
            Some(domain.internal())
        }
        Code::Cancelled => Some(domain.cancelled()),
        // Health and reflection answer these without details.
        Code::Ok
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::Unavailable
        | Code::DataLoss
        | Code::Unauthenticated => None,
    }
}
