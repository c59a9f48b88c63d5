//! Rate, errors and duration of calls (RED), for both sides.
//!
//! Handles are registered once for each method and code and then reused: a metric macro per call costs more than the
//! measurement.

use std::convert::Infallible;
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use ::metrics::{Gauge, Histogram, Label};
use http::{Request, Response};
use observability::names;
use proto::codes;
use tokio::time::Instant;
use tonic::Code;
use tonic::body::Body;
use tower::{Layer, Service};

use crate::call::{Answer, Call};
use crate::method::{self, Method};
use crate::outcome::{Observer, Pending};

/// The number of gRPC codes, OK to UNAUTHENTICATED.
const CODES: usize = 17;

/// Records every call of a client that passes.
#[derive(Clone)]
pub(crate) struct MetricsLayer(Arc<Handles>);

#[derive(Clone)]
pub(crate) struct Metrics<S> {
    inner: S,
    handles: Arc<Handles>,
}

/// `rpc_server_call_duration_seconds` and `rpc_server_active_requests`.
#[derive(Clone)]
pub(crate) struct ServerMetrics(Arc<Handles>);

struct Handles {
    side: Side,
    methods: Vec<MethodHandles>,
}

enum Side {
    Server,
    Client { server_address: String },
}

/// A series appears with its first call, so that a page is not 17 times as long as it need be.
struct MethodHandles {
    durations: [OnceLock<Histogram>; CODES],
    active: OnceLock<Gauge>,
}

impl MetricsLayer {
    /// `rpc_client_call_duration_seconds`, `server_address` being the target as configured.
    pub(crate) fn client(server_address: String) -> Self {
        Self(Arc::new(Handles::new(Side::Client { server_address })))
    }
}

impl<S> Layer<S> for MetricsLayer {
    type Service = Metrics<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Metrics { inner, handles: Arc::clone(&self.0) }
    }
}

impl<S: Call> Service<Request<Body>> for Metrics<S> {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let method = method::of_path(request.uri().path());
        let pending = Pending::new(Measurement::start(Arc::clone(&self.handles), method));
        let answer = self.inner.call(request);
        Box::pin(async move {
            let Ok(response) = answer.await;
            Ok(pending.watch(response).map(Body::new))
        })
    }
}

impl ServerMetrics {
    /// A call of `method` has come.
    pub(crate) fn start(&self, method: &'static Method) -> Measurement {
        Measurement::start(Arc::clone(&self.0), method)
    }
}

impl Default for ServerMetrics {
    fn default() -> Self {
        Self(Arc::new(Handles::new(Side::Server)))
    }
}

/// One call on the clock.
pub(crate) struct Measurement {
    handles: Arc<Handles>,
    method: &'static Method,
    start: Instant,
}

impl Measurement {
    fn start(handles: Arc<Handles>, method: &'static Method) -> Self {
        if let Some(active) = handles.active(method) {
            active.increment(1.0);
        }
        Self { handles, method, start: Instant::now() }
    }
}

impl Observer for Measurement {
    fn ended(self, code: Code) {
        self.handles.duration(self.method, code).record(self.start.elapsed());
        if let Some(active) = self.handles.active(self.method) {
            active.decrement(1.0);
        }
    }
}

impl Handles {
    fn new(side: Side) -> Self {
        let methods = method::all()
            .iter()
            .map(|_| MethodHandles { durations: std::array::from_fn(|_| OnceLock::new()), active: OnceLock::new() })
            .collect();
        Self { side, methods }
    }

    fn duration(&self, method: &Method, code: Code) -> &Histogram {
        self.methods[method.index].durations[code as usize].get_or_init(|| {
            let mut labels = vec![
                Label::new("rpc_method", method.name.clone()),
                Label::from_static_parts("rpc_response_status_code", codes::name(code)),
            ];
            match &self.side {
                Side::Server => ::metrics::histogram!(names::RPC_SERVER_CALL_DURATION, labels),
                Side::Client { server_address } => {
                    labels.push(Label::new("server_address", server_address.clone()));
                    ::metrics::histogram!(names::RPC_CLIENT_CALL_DURATION, labels)
                }
            }
        })
    }

    fn active(&self, method: &Method) -> Option<&Gauge> {
        match self.side {
            Side::Client { .. } => None,
            Side::Server => Some(self.methods[method.index].active.get_or_init(
                || ::metrics::gauge!(names::RPC_SERVER_ACTIVE_REQUESTS, "rpc_method" => method.name.clone()),
            )),
        }
    }
}
