//! The retry budget, as in Finagle: retries may add so much to the calls of the last ten seconds and no more.
//!
//! Without one a target that is in trouble gets a multiple of its calls just then, and stays in trouble.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::time::Instant;

use crate::client::window::{self, Window};

/// One retry for so many calls.
const CALLS_PER_RETRY: u32 = 10;
/// Retries that are there anyway: a client with few calls may repeat them, too.
const MIN_PER_SECOND: u32 = 2;

/// Pure: every moment is an argument.
#[derive(Debug)]
struct Budget {
    /// Calls and retries; the retries are marked.
    window: Window,
}

/// The budget of one target.
#[derive(Debug)]
pub(super) struct SharedBudget(Mutex<Budget>);

impl Budget {
    fn new(now: Instant) -> Self {
        Self { window: Window::new(now) }
    }

    fn call(&mut self, now: Instant) {
        self.window.add(now);
    }

    fn take_retry(&mut self, now: Instant) -> bool {
        let totals = self.window.totals(now);
        let calls = totals.all - totals.marked;
        let allowed = calls / CALLS_PER_RETRY + MIN_PER_SECOND * window::SECONDS;
        let is_allowed = totals.marked < allowed;
        if is_allowed {
            self.window.add_marked(now);
        }
        is_allowed
    }
}

impl SharedBudget {
    pub(super) fn new() -> Self {
        Self(Mutex::new(Budget::new(Instant::now())))
    }

    /// A call, which earns a part of a retry.
    pub(super) fn call(&self) {
        self.lock().call(Instant::now());
    }

    /// Whether there is a retry left; it is taken then.
    pub(super) fn take_retry(&self) -> bool {
        self.lock().take_retry(Instant::now())
    }

    /// Each change leaves the budget whole, even if a holder of the lock panicked.
    fn lock(&self) -> MutexGuard<'_, Budget> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn ten_calls_earn_a_retry_beside_those_that_are_there_anyway() {
        let now = Instant::now();
        let mut budget = Budget::new(now);
        for _ in 0..1_000 {
            budget.call(now);
        }
        let taken = (0..1_000).filter(|_| budget.take_retry(now)).count();
        assert_eq!(taken, 120);
        assert!(!budget.take_retry(now + Duration::from_secs(9)));
        assert!(budget.take_retry(now + Duration::from_secs(10)));
    }

    proptest! {
        #[test]
        fn storm_never_adds_more_than_a_tenth_and_the_minimum(pauses in prop::collection::vec(0u64..300, 1..600)) {
            let start = Instant::now();
            let (mut budget, mut now) = (Budget::new(start), start);
            let (mut calls, mut retries) = (0u32, 0u32);
            for pause in pauses {
                now += Duration::from_millis(pause);
                budget.call(now);
                calls += 1;
                // Every call fails, and so does its retry.
                retries += u32::from(budget.take_retry(now)) + u32::from(budget.take_retry(now));
            }
            let windows = u32::try_from((now - start).as_secs()).unwrap() / 9 + 1;
            prop_assert!(retries <= calls / CALLS_PER_RETRY + 20 * windows, "{retries} retries of {calls} calls");
        }
    }
}
