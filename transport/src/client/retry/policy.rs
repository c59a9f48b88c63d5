//! After which answers a call is repeated, and when.

use std::time::Duration;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// The first attempt included. More than three meet a target that is away, not a moment.
pub(super) const MAX_ATTEMPTS: u32 = 3;
/// Longest pause before the first retry; each further one may be twice as long.
const BASE: Duration = Duration::from_millis(25);
/// Time that an attempt needs to be worth sending.
const MIN_ATTEMPT: Duration = Duration::from_millis(10);
/// The peer's word on when to come back, in milliseconds; a negative one, or one that is no number, is a no (A6).
const PUSH_BACK: &str = "grpc-retry-pushback-ms";

/// Another attempt, after a pause.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Retry {
    pub(super) pause: Duration,
    /// What the last one ended with.
    pub(super) code: Code,
}

impl Retry {
    /// Whether pause and attempt fit into what is left of the call's time.
    pub(super) fn fits(self, left: Duration) -> bool {
        self.pause + MIN_ATTEMPT <= left
    }
}

/// What the peer says about coming back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum PushBack {
    Never,
    After(Duration),
    Unsaid,
}

/// Whether attempt number `attempt` (from 1) that ended with `status` is to be followed by another. `jitter` is random,
/// from 0 to 1.
///
/// Full jitter: the pause is anything up to the back-off, so that callers that failed together don't come back
/// together. What the peer asks for is waited for as a whole, and the jitter comes on top.
pub(super) fn decide(code: Code, status: &Status, attempt: u32, jitter: f64) -> Option<Retry> {
    let push_back = push_back(status);
    let is_retryable = match code {
        Code::Unavailable | Code::Cancelled => push_back != PushBack::Never,
        Code::ResourceExhausted => matches!(push_back, PushBack::After(_)),
        Code::Ok
        | Code::Unknown
        | Code::InvalidArgument
        | Code::DeadlineExceeded
        | Code::NotFound
        | Code::AlreadyExists
        | Code::PermissionDenied
        | Code::FailedPrecondition
        | Code::Aborted
        | Code::OutOfRange
        | Code::Unimplemented
        | Code::Internal
        | Code::DataLoss
        | Code::Unauthenticated => false,
    };
    let asked_for = match push_back {
        PushBack::After(time) => time,
        PushBack::Never | PushBack::Unsaid => Duration::ZERO,
    };
    let back_off = BASE * 2u32.saturating_pow(attempt.saturating_sub(1)).min(64);
    let pause = asked_for.saturating_add(back_off.mul_f64(jitter.clamp(0.0, 1.0)));
    is_retryable.then_some(Retry { pause, code })
}

fn push_back(status: &Status) -> PushBack {
    if let Some(value) = status.metadata().get(PUSH_BACK) {
        let time = value.to_str().ok().and_then(|text| text.parse().ok()).map(Duration::from_millis);
        return time.map_or(PushBack::Never, PushBack::After);
    }
    let retry_info = status.get_details_retry_info().and_then(|info| info.retry_delay);
    retry_info.map_or(PushBack::Unsaid, PushBack::After)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorDomain;

    const MS: Duration = Duration::from_millis(1);

    fn pause(status: &Status, attempt: u32, jitter: f64) -> Option<Duration> {
        decide(status.code(), status, attempt, jitter).map(|retry| retry.pause)
    }

    fn pushed_back(code: Code, value: &'static str) -> Status {
        let mut status = Status::new(code, "");
        status.metadata_mut().insert(PUSH_BACK, value.parse().unwrap());
        status
    }

    #[test]
    fn pauses_are_random_up_to_a_back_off_that_doubles() {
        let away = Status::unavailable("");
        for (attempt, longest) in [(1, 25), (2, 50), (3, 100)] {
            assert_eq!(pause(&away, attempt, 0.0), Some(Duration::ZERO));
            assert_eq!(pause(&away, attempt, 0.5), Some(longest * MS / 2));
            assert_eq!(pause(&away, attempt, 1.0), Some(longest * MS));
        }
    }

    #[test]
    fn peer_that_says_when_is_given_that_time() {
        assert_eq!(pause(&pushed_back(Code::Unavailable, "300"), 1, 0.0), Some(300 * MS));
        assert_eq!(pause(&pushed_back(Code::ResourceExhausted, "0"), 1, 1.0), Some(25 * MS));
        assert_eq!(pause(&ErrorDomain::INVENTORY.draining(100 * MS), 1, 0.0), Some(100 * MS));
        assert_eq!(pause(&ErrorDomain::INVENTORY.overloaded(70 * MS), 2, 1.0), Some(120 * MS));
    }

    #[test]
    fn peer_that_says_no_is_left_alone() {
        assert_eq!(pause(&pushed_back(Code::Unavailable, "-1"), 1, 0.0), None);
        assert_eq!(pause(&pushed_back(Code::Unavailable, "soon"), 1, 0.0), None);
        assert_eq!(pause(&Status::resource_exhausted("too large"), 1, 0.0), None);
    }

    #[test]
    fn only_answers_that_repeating_may_help_are_followed_by_a_retry() {
        let repeated: Vec<_> =
            (0..17).map(Code::from_i32).filter(|code| pause(&Status::new(*code, ""), 1, 0.0).is_some()).collect();
        assert_eq!(repeated, [Code::Cancelled, Code::Unavailable]);
    }

    #[test]
    fn retry_needs_its_pause_and_some_time_more() {
        let retry = Retry { pause: 20 * MS, code: Code::Unavailable };
        assert!(retry.fits(30 * MS));
        assert!(!retry.fits(29 * MS));
    }
}
