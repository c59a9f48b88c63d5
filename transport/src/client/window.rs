//! What happened during the last ten seconds, in buckets of one.
//!
//! The breaker counts calls and those that failed, the retry budget calls and retries.

use tokio::time::Instant;

/// Buckets in a window. The oldest goes as a whole, so a window is nine to ten seconds long.
const BUCKETS: usize = 10;
/// Length of the window.
pub(super) const SECONDS: u32 = BUCKETS as u32;

/// A sliding window that counts events, some of which are marked.
#[derive(Debug)]
pub(super) struct Window {
    start: Instant,
    buckets: [Bucket; BUCKETS],
}

/// One second.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    /// Which one since the window's start; a bucket of another second is empty.
    second: u64,
    totals: Totals,
}

/// The contents of a window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) all: u32,
    pub(super) marked: u32,
}

impl Window {
    pub(super) fn new(now: Instant) -> Self {
        Self { start: now, buckets: Default::default() }
    }

    /// Counts an event.
    pub(super) fn add(&mut self, now: Instant) {
        self.current(now).all += 1;
    }

    /// Counts an event that is marked as well.
    pub(super) fn add_marked(&mut self, now: Instant) {
        let current = self.current(now);
        current.all += 1;
        current.marked += 1;
    }

    pub(super) fn totals(&self, now: Instant) -> Totals {
        let second = self.second(now);
        let recent = |bucket: &&Bucket| bucket.second <= second && second - bucket.second < BUCKETS as u64;
        self.buckets.iter().filter(recent).fold(Totals::default(), |sum, bucket| Totals {
            all: sum.all + bucket.totals.all,
            marked: sum.marked + bucket.totals.marked,
        })
    }

    fn current(&mut self, now: Instant) -> &mut Totals {
        let second = self.second(now);
        let index = usize::try_from(second % BUCKETS as u64).expect("less than the number of buckets");
        let bucket = &mut self.buckets[index];
        if bucket.second != second {
            *bucket = Bucket { second, totals: Totals::default() };
        }
        &mut bucket.totals
    }

    fn second(&self, now: Instant) -> u64 {
        now.saturating_duration_since(self.start).as_secs()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn events_are_forgotten_after_ten_seconds() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut window = Window::new(start);
        window.add(start);
        window.add_marked(at(5));
        assert_eq!(window.totals(at(9)), Totals { all: 2, marked: 1 });
        assert_eq!(window.totals(at(10)), Totals { all: 1, marked: 1 });
        assert_eq!(window.totals(at(15)), Totals::default());
    }

    proptest! {
        #[test]
        fn totals_are_those_of_the_last_ten_whole_seconds(
            pauses in prop::collection::vec((0u64..4_000, any::<bool>()), 0..80),
        ) {
            let start = Instant::now();
            let mut window = Window::new(start);
            let (mut now, mut events) = (0, Vec::new());
            for (pause, marked) in pauses {
                now += pause;
                events.push((now / 1_000, marked));
                let instant = start + Duration::from_millis(now);
                if marked { window.add_marked(instant) } else { window.add(instant) }
                let recent: Vec<_> = events.iter().filter(|(second, _)| now / 1_000 - second < 10).collect();
                let marked = recent.iter().filter(|(_, marked)| *marked).count();
                let expected = Totals { all: recent.len() as u32, marked: marked as u32 };
                prop_assert_eq!(window.totals(instant), expected);
            }
        }
    }
}
