//! The state machine of the circuit breaker. It knows no clock: every moment is an argument.
//!
//! ```text
//!            half of at least 20 attempts in 10 s failed
//!   Closed ─────────────────────────────────────────────► Open
//!     ▲                                                  │    ▲
//!     │ the probe          30 s are over, or the peer's  │    │ the probe
//!     │ succeeded          health says SERVING           ▼    │ failed
//!     └──────────────────────────────────────────────── HalfOpen
//! ```

use std::time::Duration;

use tokio::time::Instant;

use super::super::window::Window;

/// Fewer attempts in the window say nothing.
const MIN_ATTEMPTS: u32 = 20;
/// The breaker stays open no longer, whatever the peer's health says.
const MAX_OPEN: Duration = Duration::from_secs(30);

/// The breaker of one target.
#[derive(Debug)]
pub(in super::super) struct Breaker {
    phase: Phase,
    /// Raised by every change: what was admitted before it says nothing about the time after it.
    epoch: u64,
}

#[derive(Debug)]
enum Phase {
    Closed { attempts: Window },
    Open { since: Instant },
    HalfOpen { is_probed: bool },
}

/// What operators see.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    Closed,
    Open,
    HalfOpen,
}

/// Leave to try. Has to be settled: the next probe waits for this one.
#[derive(Debug)]
#[must_use]
pub(in super::super) struct Permit {
    epoch: u64,
}

/// What an attempt says about the target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in super::super) enum Verdict {
    /// It answers, be it with a refusal.
    Success,
    /// It is away, too slow or broken.
    Failure,
    /// Nothing: the caller gave up, or had given it too little time.
    Unknown,
}

impl State {
    /// As in the metric `rpc_client_circuit_breaker_state`.
    pub(super) fn as_gauge(self) -> f64 {
        match self {
            Self::Closed => 0.0,
            Self::Open => 1.0,
            Self::HalfOpen => 2.0,
        }
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
            Self::HalfOpen => "half_open",
        }
    }
}

impl Breaker {
    pub(super) fn new(now: Instant) -> Self {
        Self { phase: Phase::Closed { attempts: Window::new(now) }, epoch: 0 }
    }

    pub(super) fn state(&self) -> State {
        match self.phase {
            Phase::Closed { .. } => State::Closed,
            Phase::Open { .. } => State::Open,
            Phase::HalfOpen { .. } => State::HalfOpen,
        }
    }

    /// Everybody while closed, nobody while open, one at a time while half open.
    pub(super) fn admit(&mut self, now: Instant) -> Option<Permit> {
        if let Phase::Open { since } = self.phase
            && now.saturating_duration_since(since) >= MAX_OPEN
        {
            self.enter(Phase::HalfOpen { is_probed: false });
        }
        match &mut self.phase {
            Phase::Closed { .. } => {}
            Phase::Open { .. } | Phase::HalfOpen { is_probed: true } => return None,
            Phase::HalfOpen { is_probed } => *is_probed = true,
        }
        Some(Permit { epoch: self.epoch })
    }

    pub(super) fn settle(&mut self, permit: Permit, verdict: Verdict, now: Instant) {
        if permit.epoch != self.epoch {
            return;
        }
        match (&mut self.phase, verdict) {
            (Phase::Closed { attempts }, Verdict::Success) => attempts.add(now),
            (Phase::Closed { attempts }, Verdict::Failure) => {
                attempts.add_marked(now);
                let totals = attempts.totals(now);
                if totals.all >= MIN_ATTEMPTS && 2 * totals.marked >= totals.all {
                    self.enter(Phase::Open { since: now });
                }
            }
            (Phase::HalfOpen { .. }, Verdict::Success) => self.enter(Phase::Closed { attempts: Window::new(now) }),
            (Phase::HalfOpen { .. }, Verdict::Failure) => self.enter(Phase::Open { since: now }),
            (Phase::HalfOpen { is_probed }, Verdict::Unknown) => *is_probed = false,
            (Phase::Closed { .. }, Verdict::Unknown) | (Phase::Open { .. }, _) => {}
        }
    }

    /// Ends an open phase early. An answer to a question from before it is old news.
    pub(super) fn peer_is_serving(&mut self, asked: Instant) {
        if let Phase::Open { since } = self.phase
            && asked >= since
        {
            self.enter(Phase::HalfOpen { is_probed: false });
        }
    }

    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.epoch += 1;
    }
}

#[cfg(test)]
#[path = "state_tests.rs"]
mod tests;
