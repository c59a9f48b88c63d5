//! Retries, as [gRPC's A6](https://github.com/grpc/proposal/blob/master/A6-client-retries.md) has them: of calls that
//! may be repeated, after answers that say so, while time and budget last.
//!
//! - Which methods may be repeated is a closed list of who builds the stack. Those are idempotent by what they carry
//!   (an order id); a method whose repetition needs a request id belongs there only if its calls always have one.
//! - A call is repeated after UNAVAILABLE; after CANCELLED, which is not ours as long as we wait for the answer; and
//!   after RESOURCE_EXHAUSTED if the peer says when to come back. Once an answer has begun there is no way back.
//! - All attempts share the deadline of the call. An attempt has no deadline of its own: a peer that is slow by load
//!   would only get more to do.
//! - One call is one span and one measurement, whatever it took. A retry is an event of the span and a counter.

mod budget;
mod policy;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::metrics::counter;
use bytes::Bytes;
use http::request::Parts;
use http::{HeaderName, Request, Response};
use http_body_util::{BodyExt as _, Full};
use observability::{names, spans};
use opentelemetry::Context as TraceContext;
use proto::codes;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service, ServiceExt as _};

use self::budget::SharedBudget;
use self::policy::{MAX_ATTEMPTS, Retry};
use super::target::{At, Refused};
use crate::call::{Answer, Call};
use crate::deadline::{Deadline, write};
use crate::method::{self, Method};
use crate::outcome::status_so_far;

/// Tells the peer that this is a repetition (A6).
const PREVIOUS_ATTEMPTS: HeaderName = HeaderName::from_static("grpc-previous-rpc-attempts");

#[derive(Clone)]
pub(super) struct RetryLayer(Arc<Shared>);

#[derive(Clone)]
pub(crate) struct Retrying<S> {
    inner: S,
    shared: Arc<Shared>,
}

struct Shared {
    /// By [`Method::index`].
    idempotent: BTreeSet<usize>,
    budget: SharedBudget,
    server_address: String,
}

impl RetryLayer {
    /// `idempotent` names the methods whose calls may be repeated, `inventory.v1.InventoryService/Reserve`.
    ///
    /// # Panics
    /// If one of them does not exist, or streams: what was streamed is gone.
    pub(super) fn new(idempotent: &[&str], server_address: String) -> Self {
        let index = |name: &&str| {
            let method = method::of_path(&format!("/{name}"));
            assert!(method.name == *name && !method.streams, "{name} is no unary method");
            method.index
        };
        let idempotent = idempotent.iter().map(index).collect();
        Self(Arc::new(Shared { idempotent, budget: SharedBudget::new(), server_address }))
    }
}

impl<S> Layer<S> for RetryLayer {
    type Service = Retrying<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Retrying { inner, shared: Arc::clone(&self.0) }
    }
}

impl<S: Call> Service<Request<Body>> for Retrying<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        if !self.shared.idempotent.contains(&method.index) {
            return Box::pin(self.inner.call(request));
        }
        let (inner, shared) = (self.inner.clone(), Arc::clone(&self.shared));
        Box::pin(async move { Ok(shared.call(method, request, inner).await) })
    }
}

impl Shared {
    async fn call<S: Call>(&self, method: &'static Method, request: Request<Body>, inner: S) -> Response<Body> {
        self.budget.call();
        let (parts, body) = request.into_parts();
        // A body can be read once; its bytes can be sent again.
        let message = match body.collect().await {
            Ok(message) => message.to_bytes(),
            Err(status) => return status.into_http(),
        };
        let deadline = parts.extensions.get::<Deadline>().copied();
        let mut last_at = None;
        let mut attempt = 1;
        loop {
            let request = attempt_of(&parts, message.clone(), attempt, deadline, last_at);
            let Ok(response) = inner.clone().oneshot(request).await;
            let Some(retry) = retry_after(&response, attempt) else { return response };
            let has_time = deadline.is_none_or(|deadline| retry.fits(deadline.remaining()));
            if attempt == MAX_ATTEMPTS || !has_time {
                return response;
            }
            if !self.budget.take_retry() {
                self.count(method, "refused_by_budget");
                return response;
            }
            self.count(method, "sent");
            spans::retried(&TraceContext::current(), attempt, codes::name(retry.code));
            last_at = response.extensions().get::<At>().copied();
            drop(response);
            tokio::time::sleep(retry.pause).await;
            attempt += 1;
        }
    }

    /// Rare enough for a macro.
    fn count(&self, method: &Method, outcome: &'static str) {
        counter!(
            names::RPC_CLIENT_RETRIES,
            "rpc_method" => method.name.clone(),
            "server_address" => self.server_address.clone(),
            "outcome" => outcome
        )
        .increment(1);
    }
}

fn attempt_of(
    parts: &Parts,
    message: Bytes,
    attempt: u32,
    deadline: Option<Deadline>,
    last_at: Option<At>,
) -> Request<Body> {
    let mut request = Request::from_parts(parts.clone(), Body::new(Full::new(message)));
    if attempt > 1 {
        request.headers_mut().insert(PREVIOUS_ATTEMPTS, (attempt - 1).into());
        if let Some(deadline) = deadline {
            write(deadline.remaining(), request.headers_mut());
        }
    }
    if let Some(at) = last_at {
        request.extensions_mut().insert(at);
    }
    request
}

/// Whether the answer asks for another attempt, and when.
fn retry_after(response: &Response<Body>, attempt: u32) -> Option<Retry> {
    let code = status_so_far(response)?;
    if response.extensions().get::<Refused>().is_some() {
        return None;
    }
    let status = Status::from_header_map(response.headers())?;
    policy::decide(code, &status, attempt, rand::random())
}
