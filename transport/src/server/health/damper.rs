//! Keeps what is reported from flapping with what is so. Whoever balances load connects anew for each change, and thousands
//! of connections that come and go are worse than a second of calls that fail.
//!
//! Pure: the time is an argument.

use std::time::Duration;

use runtime::health::Serving;
use tokio::time::Instant;

/// A service that stops serving is reported after it did not for so long.
const DOWN_AFTER: Duration = Duration::from_secs(1);
/// One that serves again after it did for so long.
const UP_AFTER: Duration = Duration::from_secs(2);

#[derive(Debug, Default)]
pub(super) struct Damper {
    reported: Option<Serving>,
    other_since: Option<Instant>,
    /// A service that starts has not flapped yet.
    has_served: bool,
}

/// What to do after a look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing before the next change.
    Rest,
    /// Look again then, or at the next change.
    Wait(Instant),
    Report(Serving),
}

impl Damper {
    /// Looks at what is so now. `is_final` says that it will stay so: the process drains.
    pub(super) fn look(&mut self, serving: Serving, is_final: bool, now: Instant) -> Step {
        if self.reported == Some(serving) {
            self.other_since = None;
            return Step::Rest;
        }
        let since = *self.other_since.get_or_insert(now);
        let hold = match serving {
            Serving::Serving if self.has_served => UP_AFTER,
            Serving::NotServing if self.reported.is_some() && !is_final => DOWN_AFTER,
            Serving::Serving | Serving::NotServing => Duration::ZERO,
        };
        if now < since + hold {
            return Step::Wait(since + hold);
        }
        self.reported = Some(serving);
        self.other_since = None;
        self.has_served |= serving == Serving::Serving;
        Step::Report(serving)
    }
}

#[cfg(test)]
mod tests {
    use super::Serving::{NotServing, Serving};
    use super::*;

    fn started(now: Instant) -> Damper {
        let mut damper = Damper::default();
        assert_eq!(damper.look(NotServing, false, now), Step::Report(NotServing));
        assert_eq!(damper.look(Serving, false, now), Step::Report(Serving));
        damper
    }

    #[test]
    fn dependency_that_flaps_is_not_reported() {
        let mut now = Instant::now();
        let mut damper = started(now);
        for _ in 0..100 {
            now += Duration::from_millis(900);
            assert!(matches!(damper.look(NotServing, false, now), Step::Wait(_)));
            now += Duration::from_millis(900);
            assert_eq!(damper.look(Serving, false, now), Step::Rest);
        }
    }

    #[test]
    fn what_lasts_is_reported() {
        let begin = Instant::now();
        let mut damper = started(begin);
        assert_eq!(damper.look(NotServing, false, begin), Step::Wait(begin + DOWN_AFTER));
        assert_eq!(damper.look(NotServing, false, begin + DOWN_AFTER), Step::Report(NotServing));
        let healed = begin + Duration::from_secs(10);
        assert_eq!(damper.look(Serving, false, healed), Step::Wait(healed + UP_AFTER));
        assert_eq!(damper.look(Serving, false, healed + UP_AFTER), Step::Report(Serving));
    }

    #[test]
    fn draining_is_reported_at_once() {
        let now = Instant::now();
        assert_eq!(started(now).look(NotServing, true, now), Step::Report(NotServing));
    }
}
