//! One span for each call, on both sides, and the headers between them.

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context as TaskContext, Poll};

use http::{HeaderMap, Request, Response};
use observability::{propagation, spans};
use opentelemetry::context::FutureExt as _;
use opentelemetry::{Context, ContextGuard};
use proto::codes;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::{Answer, Call};
use crate::method::{self, Kind, Method};
use crate::outcome::{Observer, Pending};

/// Opens a span for each call of a client that passes, makes it current for what is below, and names it in the metadata,
/// recorded or not.
#[derive(Clone)]
pub(crate) struct TraceLayer {
    server_address: Arc<str>,
}

#[derive(Clone)]
pub(crate) struct Trace<S> {
    inner: S,
    server_address: Arc<str>,
}

impl TraceLayer {
    /// Continues the current trace.
    pub(crate) fn client(server_address: &str) -> Self {
        Self { server_address: server_address.into() }
    }
}

impl<S> Layer<S> for TraceLayer {
    type Service = Trace<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Trace { inner, server_address: Arc::clone(&self.server_address) }
    }
}

impl<S: Call> Service<Request<Body>> for Trace<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut TaskContext<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        let context = spans::client(&method.name, &self.server_address, &Context::current());
        propagation::inject(&context, request.headers_mut());
        let pending = Pending::new(OpenSpan { context: context.clone(), is_error: is_client_error });
        let attached = context.clone().attach();
        let answer = self.inner.call(request);
        drop(attached);
        let answer = async move {
            let Ok(response) = answer.await;
            Ok(pending.watch(response).map(Body::new))
        };
        Box::pin(answer.with_context(context))
    }
}

/// The span of one call.
pub(crate) struct OpenSpan {
    context: Context,
    is_error: fn(Code) -> bool,
}

impl OpenSpan {
    /// Of a call that has come: continues the trace that its metadata names, or begins one. Questions about health and
    /// descriptors come every other second from everybody, and none is worth a trace: they get no span.
    pub(crate) fn server(method: &Method, headers: &HeaderMap) -> Self {
        let context = match method.kind {
            Kind::Infrastructure => Context::new(),
            Kind::Unary | Kind::UnaryThatEndsWork | Kind::Stream => {
                spans::server(&method.name, &propagation::extract(headers))
            }
        };
        Self { context, is_error: is_server_error }
    }
}

impl Observer for OpenSpan {
    fn ended(self, code: Code) {
        spans::end_rpc(&self.context, codes::name(code), (self.is_error)(code));
    }

    fn enter(&self) -> Option<ContextGuard> {
        Some(self.context.clone().attach())
    }
}

/// Semantic conventions: a server fails by what is its own fault. A refused request is no error.
fn is_server_error(code: Code) -> bool {
    match code {
        Code::Unknown
        | Code::DeadlineExceeded
        | Code::Unimplemented
        | Code::Internal
        | Code::Unavailable
        | Code::DataLoss => true,
        Code::Ok
        | Code::Cancelled
        | Code::InvalidArgument
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::ResourceExhausted
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unauthenticated => false,
    }
}

/// Semantic conventions: to a caller, whatever is not OK is an error.
fn is_client_error(code: Code) -> bool {
    code != Code::Ok
}
