//! One attempt at a call: may it go (the breaker), where to (least requests of two picks), and what its end says about
//! both.
//!
//! The two decide together because one bad address must not take the others along: an address that fails while others
//! are there is ejected, and what an ejected one fails is not held against the target.

mod address;
mod addresses;
mod ejection;
mod resolver;

use std::convert::Infallible;
use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::{Request, Response};
use runtime::tasks::TaskGroup;
use tokio::time::Instant;
use tonic::body::Body;
use tonic::{Code, Status, TimeoutExpired};
use tower::{Service, ServiceExt as _};

use self::address::{Address, InFlight};
use self::resolver::Resolver;
use super::breaker::{Permit, SharedBreaker, Verdict, refusal};
use super::endpoints::HostAndPort;
use super::settings::ClientSettings;
use crate::call::Answer;
use crate::deadline::Deadline;
use crate::method;
use crate::outcome::{Observer, Pending, status_so_far};

pub(super) use self::addresses::Addresses;
pub(super) use self::ejection::AddressId;

/// A peer that was given less time may be slow or may not: its DEADLINE_EXCEEDED says nothing.
const MIN_TIME: Duration = Duration::from_millis(250);

/// The innermost layer: sends each attempt to one of the target's addresses.
#[derive(Clone)]
pub(crate) struct Target(Arc<Shared>);

struct Shared {
    breaker: SharedBreaker,
    addresses: Arc<Addresses>,
}

/// In a request: the address to be avoided. In a response: the address that gave it.
#[derive(Clone, Copy)]
pub(super) struct At(pub(super) AddressId);

/// In a response: nothing was sent, because the breaker is open or there is no address. Repeating it at once is in vain.
#[derive(Clone, Copy)]
pub(super) struct Refused;

impl Target {
    pub(super) fn open(settings: &ClientSettings, tasks: &TaskGroup) -> Self {
        let server_address = settings.endpoints.to_string();
        let endpoints = settings.endpoints.addresses();
        // Until names are looked up for the first time, a channel looks its own up: the first call need not wait.
        let address =
            |one: &HostAndPort| Arc::new(Address::new(format!("{}:{}", one.host, one.port), &one.endpoint, settings));
        let addresses = Arc::new(Addresses::new(&server_address, endpoints.iter().map(address).collect()));
        if endpoints.iter().any(HostAndPort::is_name) {
            Resolver::start(&addresses, settings, tasks);
        }
        Self(Arc::new(Shared { breaker: SharedBreaker::new(&server_address), addresses }))
    }

    pub(super) fn breaker(&self) -> &SharedBreaker {
        &self.0.breaker
    }

    pub(super) fn addresses(&self) -> &Addresses {
        &self.0.addresses
    }

    fn begin(&self, request: &Request<Body>) -> Result<Begun, Status> {
        let now = Instant::now();
        let permit = self.0.breaker.admit(now).ok_or_else(refusal)?;
        let avoid = request.extensions().get::<At>().map(|at| at.0);
        let Some(address) = self.0.addresses.pick(avoid, now) else {
            self.0.breaker.settle(permit, Verdict::Unknown, now);
            return Err(Status::unavailable("the target has no address"));
        };
        let id = address.id;
        let (channel, in_flight) = address.begin();
        let deadline = request.extensions().get::<Deadline>().copied();
        let streams = method::of_path(request.uri().path()).streams;
        let attempt = Attempt {
            shared: Arc::clone(&self.0),
            permit: Some(permit),
            in_flight,
            deadline,
            had_time: deadline.is_none_or(|deadline| deadline.remaining() >= MIN_TIME),
        };
        Ok(Begun { channel, id, streams, attempt })
    }
}

struct Begun {
    channel: tonic::transport::Channel,
    id: AddressId,
    streams: bool,
    attempt: Attempt,
}

impl Service<Request<Body>> for Target {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which connection is asked is decided call by call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let begun = match self.begin(&request) {
            Ok(begun) => begun,
            Err(status) => {
                let mut response = status.into_http();
                response.extensions_mut().insert(Refused);
                return Box::pin(std::future::ready(Ok(response)));
            }
        };
        let Begun { channel, id, streams, attempt } = begun;
        let mut pending = Pending::new(attempt);
        Box::pin(async move {
            let mut response = match channel.oneshot(request).await {
                Ok(response) => {
                    // A stream is judged by its beginning: it may last for days, and the breaker's probe must not.
                    if streams && status_so_far(&response).is_none() {
                        pending.observer().judge(Verdict::Success);
                    }
                    response
                }
                Err(error) => transport_failure(&error).into_http(),
            };
            response.extensions_mut().insert(At(id));
            Ok(pending.watch(response).map(Body::new))
        })
    }
}

/// A connection that can't be made, breaks, or is going away (new calls on it are refused) is UNAVAILABLE, as in other
/// gRPC libraries. tonic calls some of it CANCELLED or UNKNOWN, as if somebody had given up, or it were a bug.
fn transport_failure(error: &tonic::transport::Error) -> Status {
    let mut cause: Option<&(dyn Error + 'static)> = Some(error);
    let mut text = error.to_string();
    while let Some(error) = cause {
        if error.is::<TimeoutExpired>() {
            // tonic's own timer for the same deadline, which is rarely the first.
            return Status::deadline_exceeded("no answer within the call's deadline");
        }
        text = error.to_string();
        cause = error.source();
    }
    Status::unavailable(format!("the connection failed: {text}"))
}

/// An attempt on its way. When its end is known, or when it is dropped, the breaker and the ejections hear of it.
struct Attempt {
    shared: Arc<Shared>,
    permit: Option<Permit>,
    in_flight: InFlight,
    deadline: Option<Deadline>,
    had_time: bool,
}

impl Attempt {
    fn judge(&mut self, verdict: Verdict) {
        let Some(permit) = self.permit.take() else { return };
        let now = Instant::now();
        let Shared { breaker, addresses } = &*self.shared;
        let address = &self.in_flight.address;
        let verdict = match verdict {
            Verdict::Success => {
                addresses.succeeded(address);
                Verdict::Success
            }
            Verdict::Failure if addresses.failed(address, now) => Verdict::Failure,
            Verdict::Failure | Verdict::Unknown => Verdict::Unknown,
        };
        breaker.settle(permit, verdict, now);
    }

    fn verdict(&self, code: Code) -> Verdict {
        match code {
            Code::Unavailable | Code::Unknown | Code::Internal | Code::DataLoss => Verdict::Failure,
            Code::DeadlineExceeded if self.had_time => Verdict::Failure,
            // Dropped: by the deadline's layer, or by a caller that gave up before.
            Code::Cancelled if self.had_time && self.deadline.is_some_and(|left| left.remaining().is_zero()) => {
                Verdict::Failure
            }
            Code::DeadlineExceeded | Code::Cancelled => Verdict::Unknown,
            // It answers. RESOURCE_EXHAUSTED, too: who sheds load is alive and says when to come back.
            Code::Ok
            | Code::InvalidArgument
            | Code::NotFound
            | Code::AlreadyExists
            | Code::PermissionDenied
            | Code::ResourceExhausted
            | Code::FailedPrecondition
            | Code::Aborted
            | Code::OutOfRange
            | Code::Unimplemented
            | Code::Unauthenticated => Verdict::Success,
        }
    }
}

impl Observer for Attempt {
    fn ended(mut self, code: Code) {
        let verdict = self.verdict(code);
        self.judge(verdict);
    }
}
