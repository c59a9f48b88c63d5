//! The circuit breaker: while a target fails as a whole, calls to it fail at once, not at their deadlines.
//!
//! [`state`] decides; here it is shared, counted in a gauge and logged.

mod state;

use std::sync::{Mutex, MutexGuard, PoisonError};

use ::metrics::Gauge;
use observability::names;
use tokio::time::Instant;
use tonic::Status;

use self::state::{Breaker, State};

pub(super) use self::state::{Permit, Verdict};

/// The breaker of one target, shared by all calls to it.
pub(super) struct SharedBreaker {
    breaker: Mutex<Breaker>,
    server_address: String,
    gauge: Gauge,
}

impl SharedBreaker {
    pub(super) fn new(server_address: &str) -> Self {
        let gauge =
            ::metrics::gauge!(names::RPC_CLIENT_CIRCUIT_BREAKER_STATE, "server_address" => server_address.to_owned());
        gauge.set(State::Closed.as_gauge());
        Self { breaker: Mutex::new(Breaker::new(Instant::now())), server_address: server_address.to_owned(), gauge }
    }

    /// Lets an attempt through, or not.
    pub(super) fn admit(&self, now: Instant) -> Option<Permit> {
        self.change(|breaker| breaker.admit(now))
    }

    /// What an attempt has shown. Every permit ends here.
    pub(super) fn settle(&self, permit: Permit, verdict: Verdict, now: Instant) {
        self.change(|breaker| breaker.settle(permit, verdict, now));
    }

    /// The target's health says SERVING, in answer to a question of `asked`.
    pub(super) fn peer_is_serving(&self, asked: Instant) {
        self.change(|breaker| breaker.peer_is_serving(asked));
    }

    fn change<T>(&self, change: impl FnOnce(&mut Breaker) -> T) -> T {
        let mut breaker = self.lock();
        let before = breaker.state();
        let result = change(&mut breaker);
        let after = breaker.state();
        if before != after {
            // Under the lock, so that gauge and log have the changes in their order.
            self.gauge.set(after.as_gauge());
            self.log(after);
        }
        result
    }

    fn log(&self, state: State) {
        let (target, state_name) = (&self.server_address, state.name());
        match state {
            State::Open => {
                let text = "circuit breaker opened: calls fail at once";
                tracing::warn!(server.address = %target, state = state_name, "{text}");
            }
            State::HalfOpen | State::Closed => {
                tracing::info!(server.address = %target, state = state_name, "circuit breaker changed");
            }
        }
    }

    /// Each change leaves the state whole, even if a holder of the lock panicked.
    fn lock(&self) -> MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The answer in place of a call while the breaker is open. It says nothing about the call, which was never sent.
pub(super) fn refusal() -> Status {
    Status::unavailable(
        "circuit breaker open: the target failed too often and is left alone for a while; try again later",
    )
}
