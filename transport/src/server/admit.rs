//! Whether a call is taken at all, decided before anything of its body is read: who calls, whether at a rate that they may,
//! and whether there is room for one more.
//!
//! Health and reflection always pass: an orchestrator that can't hear a busy server restarts it.

mod caller;
mod load;
mod permit;
mod rate;
mod streams;

use std::convert::Infallible;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use ::metrics::{Counter, Gauge, counter, gauge};
use futures::future::{Either, Ready, ready};
use http::{Request, Response};
use observability::names;
use tokio::time::Instant;
use tonic::Status;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::AnswerBody;
use crate::error::ErrorDomain;
use crate::method::{self, Kind};

pub use caller::{Authentication, NotAuthenticated, Principal};
pub(super) use load::LoadSettings;
pub(super) use streams::StreamSettings;

use caller::Caller;
use load::{Full, Load, Urgency};
use permit::{Admitted, Permit, PermittedBody};
use rate::{OverRate, Rates};
use streams::{Streams, TooManyStreams};

/// When to try to open a stream again: streams end rarely.
const RETRY_STREAM_AFTER: Duration = Duration::from_secs(1);

/// What is admitted.
#[derive(Clone, Copy, Debug)]
pub(super) struct AdmitSettings {
    pub(super) load: LoadSettings,
    pub(super) streams: StreamSettings,
    /// Of one caller; 0 is any.
    pub(super) calls_per_second: u32,
}

#[derive(Clone)]
pub(super) struct AdmitLayer(Arc<Gate>);

#[derive(Clone)]
pub(super) struct Admit<S> {
    inner: S,
    gate: Arc<Gate>,
}

/// One for all connections.
struct Gate {
    domain: ErrorDomain,
    authentication: Authentication,
    rates: Option<Mutex<Rates>>,
    load: Mutex<Load>,
    streams: Mutex<Streams>,
    metrics: GateMetrics,
}

struct GateMetrics {
    limit: Gauge,
    inside: Gauge,
    not_authenticated: Counter,
    over_rate: Counter,
    overloaded: Counter,
    too_many_streams: Counter,
}

impl AdmitLayer {
    pub(super) fn new(settings: AdmitSettings, authentication: Authentication, domain: ErrorDomain) -> Self {
        let load = Load::new(settings.load, Instant::now());
        let metrics = GateMetrics::new();
        metrics.limit.set(load.limit() as f64);
        Self(Arc::new(Gate {
            domain,
            authentication,
            rates: Rates::new(settings.calls_per_second).map(Mutex::new),
            load: Mutex::new(load),
            streams: Mutex::new(Streams::new(settings.streams)),
            metrics,
        }))
    }
}

impl<S> Layer<S> for AdmitLayer {
    type Service = Admit<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Admit { inner, gate: Arc::clone(&self.0) }
    }
}

impl<S, B> Service<Request<Body>> for Admit<S>
where
    S: Service<Request<Body>, Response = Response<B>, Error = Infallible>,
    B: AnswerBody,
{
    type Response = Response<PermittedBody<B>>;
    type Error = Infallible;
    type Future = Either<Ready<Result<Self::Response, Infallible>>, Admitted<S::Future>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<Body>) -> Self::Future {
        match Gate::admit(&self.gate, &mut request) {
            Ok(permit) => Either::Right(Admitted::new(self.inner.call(request), permit)),
            Err(refusal) => Either::Left(ready(Ok(refusal.into_http()))),
        }
    }
}

impl Gate {
    fn admit(gate: &Arc<Self>, request: &mut Request<Body>) -> Result<Permit, Status> {
        let urgency = match method::of(request).kind {
            Kind::Infrastructure => return Ok(Permit::Unlimited),
            Kind::Stream => None,
            Kind::Unary => Some(Urgency::Begins),
            Kind::UnaryThatEndsWork => Some(Urgency::Ends),
        };
        gate.authenticate(request)?;
        gate.keep_rate(request)?;
        match urgency {
            Some(urgency) => Self::enter(gate, urgency),
            None => Self::open_stream(gate, request),
        }
    }

    fn authenticate(&self, request: &mut Request<Body>) -> Result<(), Status> {
        match self.authentication.check(request.headers()) {
            Ok(None) => Ok(()),
            Ok(Some(principal)) => {
                request.extensions_mut().insert(principal);
                Ok(())
            }
            Err(NotAuthenticated) => {
                self.metrics.not_authenticated.increment(1);
                Err(self.domain.unauthenticated())
            }
        }
    }

    fn keep_rate(&self, request: &Request<Body>) -> Result<(), Status> {
        let Some(rates) = &self.rates else { return Ok(()) };
        let taken = lock(rates).take(&Caller::of(request), Instant::now());
        taken.map_err(|OverRate(wait)| {
            self.metrics.over_rate.increment(1);
            self.domain.rate_limited(wait)
        })
    }

    fn enter(gate: &Arc<Self>, urgency: Urgency) -> Result<Permit, Status> {
        // The lock is free again before a status is built.
        let entered = lock(&gate.load).enter(urgency);
        match entered {
            Ok(()) => Ok(Permit::call(gate)),
            Err(Full(wait)) => {
                gate.metrics.overloaded.increment(1);
                Err(gate.domain.overloaded(jittered(wait)))
            }
        }
    }

    fn open_stream(gate: &Arc<Self>, request: &Request<Body>) -> Result<Permit, Status> {
        let caller = Caller::of(request);
        let opened = lock(&gate.streams).open(&caller);
        match opened {
            Ok(()) => Ok(Permit::stream(gate, caller)),
            Err(TooManyStreams) => {
                gate.metrics.too_many_streams.increment(1);
                Err(gate.domain.overloaded(jittered(RETRY_STREAM_AFTER)))
            }
        }
    }
}

impl GateMetrics {
    fn new() -> Self {
        let refused = |reason: &'static str| counter!(names::RPC_SERVER_REFUSED_CALLS, "reason" => reason);
        Self {
            limit: gauge!(names::RPC_SERVER_CALL_LIMIT),
            inside: gauge!(names::RPC_SERVER_LIMITED_CALLS),
            not_authenticated: refused("unauthenticated"),
            over_rate: refused("rate_limited"),
            overloaded: refused("overloaded"),
            too_many_streams: refused("too_many_streams"),
        }
    }
}

/// Between half and one and a half: callers that were refused together don't come back together.
fn jittered(wait: Duration) -> Duration {
    wait.mul_f64(0.5 + rand::random::<f64>())
}

/// What is behind these locks is counted, and no count is left half done by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
