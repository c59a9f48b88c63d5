//! tonic refuses some calls by itself: no such method, a message too large, bytes that are no message. Its statuses carry
//! no details; here they get the code and the reason that the contract promises.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::{HeaderMap, Request, Response};
use http_body::{Frame, SizeHint};
use tonic::body::Body;
use tonic::{Code, Status};
use tower::{Layer, Service};

use crate::call::AnswerBody;
use crate::error::ErrorDomain;

/// How what tonic and prost say begins when bytes are no message of the method, or no whole one. They call it INTERNAL; ours
/// is a bug here, and this is none (for the flag of a compressed message gRPC's own text asks for INTERNAL, too).
const NO_MESSAGE: [&str; 4] = [
    "failed to decode Protobuf message",
    "Missing request message",
    "Unexpected EOF decoding stream",
    "protocol error: received message with",
];
/// How tonic says that an answer is over the limit; a request that is over it has the same code.
const ANSWER_TOO_LARGE: &str = "Error, encoded message length too large";

#[derive(Clone)]
pub(super) struct ExplainLayer(pub(super) ErrorDomain);

#[derive(Clone)]
pub(super) struct Explain<S> {
    inner: S,
    domain: ErrorDomain,
}

pin_project_lite::pin_project! {
    pub(super) struct Explaining<F> {
        #[pin]
        answer: F,
        domain: ErrorDomain,
    }
}

/// Answers begin before tonic knows how large they are, so trailers are looked at too.
#[derive(Default)]
pub(super) struct ExplainedBody<B> {
    body: B,
    domain: Option<ErrorDomain>,
}

impl<S> Layer<S> for ExplainLayer {
    type Service = Explain<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Explain { inner, domain: self.0 }
    }
}

impl<S, B> Service<Request<Body>> for Explain<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: AnswerBody,
{
    type Response = Response<ExplainedBody<B>>;
    type Error = Infallible;
    type Future = Explaining<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        Explaining { answer: self.inner.call(request), domain: self.domain }
    }
}

impl<F, B> Future for Explaining<F>
where
    F: Future<Output = Result<Response<B>, Infallible>>,
    B: AnswerBody,
{
    type Output = Result<Response<ExplainedBody<B>>, Infallible>;

    fn poll(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        let this = self.project();
        let domain = *this.domain;
        let Ok(response) = ready!(this.answer.poll(context));
        Poll::Ready(Ok(match explained(domain, response.headers()) {
            Some(status) => status.into_http(),
            None => response.map(|body| ExplainedBody { body, domain: Some(domain) }),
        }))
    }
}

impl<B: AnswerBody> http_body::Body for ExplainedBody<B> {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Self::Data>, Self::Error>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(context));
        let trailers = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.trailers_ref());
        let explained = self.domain.zip(trailers).and_then(|(domain, trailers)| explained(domain, trailers));
        let Some(status) = explained else { return Poll::Ready(frame) };
        let mut trailers = HeaderMap::new();
        Poll::Ready(Some(status.add_header(&mut trailers).map(|()| Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// The status to answer instead; none if a handler has answered.
fn explained(domain: ErrorDomain, headers: &HeaderMap) -> Option<Status> {
    // Almost always: no status yet, or OK. To parse it would be to copy all headers.
    if headers.get(&crate::outcome::GRPC_STATUS).is_none_or(|code| code == "0") {
        return None;
    }
    let status = Status::from_header_map(headers)?;
    if !status.details().is_empty() {
        return None;
    }
    match status.code() {
        Code::Unimplemented => Some(domain.unimplemented()),
        // tonic's code for a message over the limit. No handler of ours answers OUT_OF_RANGE.
        Code::OutOfRange if status.message().starts_with(ANSWER_TOO_LARGE) => Some(domain.answer_too_large()),
        Code::OutOfRange => Some(domain.message_too_large()),
        Code::Internal if NO_MESSAGE.iter().any(|text| status.message().starts_with(text)) => {
            Some(domain.malformed_message())
        }
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
