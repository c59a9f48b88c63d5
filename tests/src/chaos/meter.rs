//! How many orders were decided when.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// One count is of this long.
const BIN: Duration = Duration::from_millis(100);

/// Counts orders whose placement was answered with a decision. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Meter {
    begun: Instant,
    bins: Arc<Mutex<Vec<u32>>>,
}

impl Default for Meter {
    fn default() -> Self {
        Self { begun: Instant::now(), bins: Arc::default() }
    }
}

impl Meter {
    /// One more, now.
    pub fn count(&self) {
        let bin = self.bin(Instant::now());
        let mut bins = self.bins.lock().unwrap_or_else(PoisonError::into_inner);
        if bins.len() <= bin {
            bins.resize(bin + 1, 0);
        }
        bins[bin] += 1;
    }

    /// All so far.
    #[must_use]
    pub fn total(&self) -> u64 {
        let bins = self.bins.lock().unwrap_or_else(PoisonError::into_inner);
        bins.iter().copied().map(u64::from).sum()
    }

    /// Orders per second over the time that has just passed.
    #[must_use]
    pub fn rate_of_last(&self, time: Duration) -> f64 {
        let now = Instant::now();
        self.rate_between(now.checked_sub(time).unwrap_or(self.begun), now)
    }

    /// Orders per second in between.
    #[must_use]
    pub fn rate_between(&self, from: Instant, to: Instant) -> f64 {
        let (first, last) = (self.bin(from), self.bin(to));
        let bins = self.bins.lock().unwrap_or_else(PoisonError::into_inner);
        let counted: u64 = bins.iter().skip(first).take(last.saturating_sub(first)).copied().map(u64::from).sum();
        let counted = f64::from(u32::try_from(counted).unwrap_or(u32::MAX));
        counted / to.saturating_duration_since(from).as_secs_f64().max(f64::MIN_POSITIVE)
    }

    fn bin(&self, at: Instant) -> usize {
        let bins = at.saturating_duration_since(self.begun).as_millis() / BIN.as_millis();
        usize::try_from(bins).unwrap_or(usize::MAX)
    }
}
