//! How many calls each caller may begin in a second.
//!
//! A token bucket that holds one second's worth, kept as one instant for each caller (the generic cell rate algorithm):
//! the moment at which the bucket would be full again. Nothing has to refill it.
//!
//! Pure: the time is an argument.

use std::collections::HashMap;
use std::time::Duration;

use tokio::time::Instant;

use super::caller::Caller;

/// Callers that are remembered at least. Who is forgotten has a full bucket again, so that a crowd of callers is let in
/// rather than the memory of the process spent.
const CALLERS: usize = 10_000;
/// What a bucket holds, in time: a caller that was silent for so long may use what it saved.
const BURST: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Rates {
    /// Time for which one call uses up the rate.
    per_call: Duration,
    /// In two generations, of which the older one is dropped as a whole.
    young: HashMap<Caller, Instant>,
    old: HashMap<Caller, Instant>,
}

/// The caller is over its rate; the time until its next call is in it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct OverRate(pub(super) Duration);

impl Rates {
    /// None if `calls_per_second` is 0: then every rate is allowed.
    pub(super) fn new(calls_per_second: u32) -> Option<Self> {
        let per_call = Duration::from_secs(1).checked_div(calls_per_second)?;
        Some(Self { per_call, young: HashMap::new(), old: HashMap::new() })
    }

    /// Takes a token from the caller's bucket.
    pub(super) fn take(&mut self, caller: &Caller, now: Instant) -> Result<(), OverRate> {
        let known = self.young.get(caller).or_else(|| self.old.get(caller)).copied();
        let full_again = known.map_or(now, |known| known.max(now)) + self.per_call;
        let latest = now + BURST.max(self.per_call);
        if full_again > latest {
            return Err(OverRate(full_again - latest));
        }
        self.remember(caller, full_again);
        Ok(())
    }

    fn remember(&mut self, caller: &Caller, full_again: Instant) {
        if let Some(known) = self.young.get_mut(caller) {
            *known = full_again;
            return;
        }
        if self.young.len() >= CALLERS {
            self.old = std::mem::take(&mut self.young);
        }
        self.young.insert(caller.clone(), full_again);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use proptest::prelude::*;

    use super::*;

    fn caller(number: u32) -> Caller {
        Caller::Network(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_second_s_worth_may_come_at_once_and_then_one_by_one() {
        let begin = Instant::now();
        let mut rates = Rates::new(10).unwrap();
        let admitted = (0..100).filter(|_| rates.take(&caller(1), begin).is_ok()).count();
        assert_eq!(admitted, 10);
        assert_eq!(rates.take(&caller(1), begin), Err(OverRate(Duration::from_millis(100))));
        assert_eq!(rates.take(&caller(2), begin), Ok(()));
        let next = begin + Duration::from_millis(100);
        assert_eq!(rates.take(&caller(1), next), Ok(()));
        assert!(rates.take(&caller(1), next).is_err());
    }

    #[test]
    fn rate_of_zero_is_no_limit() {
        assert!(Rates::new(0).is_none());
    }

    #[test]
    fn memory_is_bounded_however_many_callers_come() {
        let begin = Instant::now();
        let mut rates = Rates::new(1).unwrap();
        for number in 0..5 * u32::try_from(CALLERS).unwrap() {
            rates.take(&caller(number), begin).unwrap();
        }
        assert!(rates.young.len() + rates.old.len() <= 2 * CALLERS);
    }

    proptest! {
        /// In no stretch of time is more admitted than the rate and one burst; who waits as told is admitted.
        #[test]
        fn rate_is_kept(rate in 1..200_u32, pauses in proptest::collection::vec(0..50_u64, 1..500)) {
            let begin = Instant::now();
            let (mut now, mut admitted) = (begin, 0_u32);
            let mut rates = Rates::new(rate).unwrap();
            for pause in pauses {
                now += Duration::from_millis(pause);
                match rates.take(&caller(1), now) {
                    Ok(()) => admitted += 1,
                    Err(OverRate(wait)) => {
                        now += wait;
                        prop_assert_eq!(rates.take(&caller(1), now), Ok(()));
                        admitted += 1;
                    }
                }
            }
            let most = (now - begin).as_secs_f64() * f64::from(rate) + f64::from(rate.max(1)) + 1.0;
            prop_assert!(f64::from(admitted) <= most, "{} of {}", admitted, most);
        }
    }
}
