//! Passive outlier detection, as Envoy calls it: an address whose attempts keep failing while others are there is left
//! out for a time that grows. Pure: every moment is an argument.
//!
//! At least half of the addresses stay in, so a single one is never ejected: when a whole target fails, there is
//! nothing better to choose, and the breaker is what helps.

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::time::Instant;

/// Failures in a row that eject. Few enough that a bad address can't open the breaker of a target with good ones.
pub(super) const FAILURES_IN_A_ROW: u32 = 5;
/// The first ejection; each further one takes twice as long.
const FIRST: Duration = Duration::from_secs(5);
/// The longest ejection.
const LONGEST: Duration = Duration::from_secs(60);
/// An address that was back for that long begins with the first ejection again.
const FORGIVEN_AFTER: Duration = Duration::from_secs(60);

/// One address of a target, whatever may be behind it later.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(in super::super) struct AddressId(pub(super) u64);

/// Which addresses are ejected.
#[derive(Debug, Default)]
pub(super) struct Ejections {
    members: BTreeMap<AddressId, Member>,
}

#[derive(Debug, Default)]
struct Member {
    failures_in_a_row: u32,
    ejection: Option<Ejection>,
}

/// The last ejection; over once `until` has passed.
#[derive(Clone, Copy, Debug)]
struct Ejection {
    until: Instant,
    time: Duration,
}

/// What a failure of an address means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Failed {
    /// The target as a whole may be failing.
    Counts,
    /// The address is ejected now, for that long.
    Ejects(Duration),
    /// It is ejected, or known no more: the others are asked instead.
    IsLeftOut,
}

impl Member {
    fn is_ejected(&self, now: Instant) -> bool {
        self.ejection.is_some_and(|ejection| now < ejection.until)
    }
}

impl Ejections {
    /// The addresses from now on. What is known of those that stay is kept.
    pub(super) fn set_members(&mut self, ids: impl Iterator<Item = AddressId>) {
        let mut old = std::mem::take(&mut self.members);
        self.members = ids.map(|id| (id, old.remove(&id).unwrap_or_default())).collect();
    }

    pub(super) fn is_ejected(&self, id: AddressId, now: Instant) -> bool {
        self.members.get(&id).is_some_and(|member| member.is_ejected(now))
    }

    pub(super) fn ejected(&self, now: Instant) -> usize {
        self.members.values().filter(|member| member.is_ejected(now)).count()
    }

    pub(super) fn succeeded(&mut self, id: AddressId) {
        if let Some(member) = self.members.get_mut(&id) {
            member.failures_in_a_row = 0;
        }
    }

    pub(super) fn failed(&mut self, id: AddressId, now: Instant) -> Failed {
        let has_room = 2 * (self.ejected(now) + 1) <= self.members.len();
        let Some(member) = self.members.get_mut(&id) else { return Failed::IsLeftOut };
        if member.is_ejected(now) {
            return Failed::IsLeftOut;
        }
        member.failures_in_a_row = member.failures_in_a_row.saturating_add(1);
        if member.failures_in_a_row < FAILURES_IN_A_ROW || !has_room {
            return Failed::Counts;
        }
        let time = match member.ejection {
            Some(last) if now.saturating_duration_since(last.until) < FORGIVEN_AFTER => (2 * last.time).min(LONGEST),
            Some(_) | None => FIRST,
        };
        member.ejection = Some(Ejection { until: now + time, time });
        // It comes back on probation: one more failure ejects it again.
        member.failures_in_a_row = FAILURES_IN_A_ROW - 1;
        Failed::Ejects(time)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const ONE: AddressId = AddressId(1);
    const OTHER: AddressId = AddressId(2);

    fn of(count: u64) -> Ejections {
        let mut ejections = Ejections::default();
        ejections.set_members((1..=count).map(AddressId));
        ejections
    }

    fn fail(ejections: &mut Ejections, id: AddressId, times: u32, now: Instant) -> Failed {
        (0..times).map(|_| ejections.failed(id, now)).last().unwrap()
    }

    #[test]
    fn five_failures_in_a_row_eject_one_of_two() {
        let (mut ejections, now) = (of(2), Instant::now());
        assert_eq!(fail(&mut ejections, ONE, 4, now), Failed::Counts);
        ejections.succeeded(ONE);
        assert_eq!(fail(&mut ejections, ONE, 4, now), Failed::Counts);
        assert_eq!(fail(&mut ejections, ONE, 1, now), Failed::Ejects(FIRST));
        assert!(ejections.is_ejected(ONE, now));
        assert_eq!(fail(&mut ejections, ONE, 1, now), Failed::IsLeftOut);
        assert_eq!(fail(&mut ejections, OTHER, 50, now), Failed::Counts, "one of the two has to stay");
    }

    #[test]
    fn single_address_is_never_ejected() {
        let (mut ejections, now) = (of(1), Instant::now());
        assert_eq!(fail(&mut ejections, ONE, 100, now), Failed::Counts);
    }

    #[test]
    fn ejections_grow_up_to_a_minute_while_it_goes_on_failing() {
        let (mut ejections, mut now) = (of(2), Instant::now());
        fail(&mut ejections, ONE, 4, now);
        for seconds in [5, 10, 20, 40, 60, 60] {
            let time = Duration::from_secs(seconds);
            assert_eq!(ejections.failed(ONE, now), Failed::Ejects(time));
            now += time;
            assert!(!ejections.is_ejected(ONE, now));
        }
        now += FORGIVEN_AFTER;
        assert_eq!(ejections.failed(ONE, now), Failed::Ejects(FIRST));
    }

    #[test]
    fn address_that_is_gone_is_forgotten_and_one_that_stays_is_not() {
        let (mut ejections, now) = (of(2), Instant::now());
        fail(&mut ejections, ONE, 5, now);
        ejections.set_members([ONE, AddressId(3)].into_iter());
        assert!(ejections.is_ejected(ONE, now));
        assert_eq!(ejections.failed(OTHER, now), Failed::IsLeftOut);
        ejections.set_members([OTHER, AddressId(3)].into_iter());
        assert_eq!(ejections.ejected(now), 0);
    }

    proptest! {
        #[test]
        fn at_least_half_of_the_addresses_stay_in(
            count in 1u64..9,
            steps in prop::collection::vec((0u64..9, 0u8..5, 0u64..3_000), 0..400),
        ) {
            let (mut ejections, mut now) = (of(count), Instant::now());
            for (which, kind, pause) in steps {
                now += Duration::from_millis(pause);
                let id = AddressId(which % count + 1);
                let was_ejected = ejections.is_ejected(id, now);
                if kind == 0 {
                    ejections.succeeded(id);
                } else {
                    let failed = ejections.failed(id, now);
                    prop_assert_eq!(failed == Failed::IsLeftOut, was_ejected);
                    prop_assert_eq!(ejections.is_ejected(id, now), failed != Failed::Counts);
                }
                prop_assert!(2 * ejections.ejected(now) as u64 <= count);
            }
        }
    }
}
