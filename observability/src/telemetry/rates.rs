//! The rates that Jaeger gives a service, and the sampler that goes by them.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::Instant;

use opentelemetry::trace::{Link, SpanKind, TraceContextExt as _, TraceId, TraceState};
use opentelemetry::{Context, KeyValue};
use opentelemetry_sdk::trace::{Sampler as SdkSampler, SamplingDecision, SamplingResult, ShouldSample};

use super::sampler::Ratio;

/// Rates by operation that are kept; more are an answer gone wrong.
const MOST_OPERATIONS: usize = 1_000;

/// What holds at the moment.
#[derive(Debug)]
pub(super) struct Rates {
    /// By name of the trace's first span.
    operations: HashMap<String, f64>,
    others: Rate,
}

/// How many traces of one kind are recorded.
#[derive(Debug)]
pub(super) enum Rate {
    /// A share of them.
    Share(f64),
    /// As many in each second.
    PerSecond(Bucket),
}

/// A bucket that fills at the rate and holds what comes in a second, one trace at least.
#[derive(Debug)]
pub(super) struct Bucket {
    per_second: f64,
    level: Mutex<(f64, Instant)>,
}

impl Rates {
    /// `operations` are shares by operation.
    pub(super) fn new(operations: impl IntoIterator<Item = (String, f64)>, others: Rate) -> Self {
        Self { operations: operations.into_iter().take(MOST_OPERATIONS).collect(), others }
    }

    /// Whether they say the same: a bucket is not to be filled anew by every answer.
    pub(super) fn are(&self, other: &Self) -> bool {
        let same_others = match (&self.others, &other.others) {
            (Rate::Share(one), Rate::Share(two)) => one == two,
            (Rate::PerSecond(one), Rate::PerSecond(two)) => one.per_second == two.per_second,
            (Rate::Share(_), Rate::PerSecond(_)) | (Rate::PerSecond(_), Rate::Share(_)) => false,
        };
        same_others && self.operations == other.operations
    }

    /// The share of traces whose operation has no rate of its own, if that is a share.
    pub(super) fn share_of_others(&self) -> Option<f64> {
        match self.others {
            Rate::Share(share) => Some(share),
            Rate::PerSecond(_) => None,
        }
    }

    pub(super) fn operations(&self) -> usize {
        self.operations.len()
    }
}

impl Bucket {
    pub(super) fn new(per_second: f64, now: Instant) -> Self {
        Self { per_second, level: Mutex::new((per_second.max(1.0), now)) }
    }

    fn take(&self, now: Instant) -> bool {
        let mut level = self.level.lock().unwrap_or_else(PoisonError::into_inner);
        let (held, since) = *level;
        let filled = held + self.per_second * now.saturating_duration_since(since).as_secs_f64();
        let held = filled.min(self.per_second.max(1.0));
        let has_one = held >= 1.0;
        *level = (if has_one { held - 1.0 } else { held }, now);
        has_one
    }
}

/// Samples by the rates that hold at the moment. Clones share them.
#[derive(Clone, Debug)]
pub(super) struct RemoteSampler(Arc<RwLock<Arc<Rates>>>);

impl RemoteSampler {
    pub(super) fn new(initial: Ratio) -> Self {
        let rates = Rates::new([], Rate::Share(initial.share()));
        Self(Arc::new(RwLock::new(Arc::new(rates))))
    }

    pub(super) fn rates(&self) -> Arc<Rates> {
        Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner))
    }

    pub(super) fn set(&self, rates: Rates) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(rates);
    }
}

impl ShouldSample for RemoteSampler {
    fn should_sample(
        &self,
        parent: Option<&Context>,
        trace_id: TraceId,
        name: &str,
        kind: &SpanKind,
        attributes: &[KeyValue],
        links: &[Link],
    ) -> SamplingResult {
        let rates = self.rates();
        let share = match (rates.operations.get(name), &rates.others) {
            (Some(share), _) | (None, Rate::Share(share)) => *share,
            (None, Rate::PerSecond(bucket)) => {
                let taken = bucket.take(Instant::now());
                let decision = if taken { SamplingDecision::RecordAndSample } else { SamplingDecision::Drop };
                let trace_state = parent
                    .map_or_else(TraceState::default, |parent| parent.span().span_context().trace_state().clone());
                return SamplingResult { decision, attributes: Vec::new(), trace_state };
            }
        };
        SdkSampler::TraceIdRatioBased(share).should_sample(parent, trace_id, name, kind, attributes, links)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn recorded(sampler: &RemoteSampler, operation: &str) -> usize {
        let decide = |number: u128| {
            // The ratio is taken from the low half, whose distribution matters and whose order does not.
            let id = TraceId::from(number.wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835));
            sampler.should_sample(None, id, operation, &SpanKind::Server, &[], &[]).decision
        };
        (1..=10_000).map(decide).filter(|decision| *decision == SamplingDecision::RecordAndSample).count()
    }

    #[test]
    fn operation_has_a_rate_of_its_own_and_changes_hold_at_once() {
        let sampler = RemoteSampler::new("0".parse().unwrap());
        assert_eq!(recorded(&sampler, "a"), 0);
        sampler.set(Rates::new([("a".to_owned(), 1.0)], Rate::Share(0.25)));
        assert_eq!(recorded(&sampler, "a"), 10_000);
        let others = recorded(&sampler, "b");
        assert!((2_200..2_800).contains(&others), "{others}");
    }

    #[test]
    fn rate_per_second_lets_so_many_through_however_many_come() {
        let begin = Instant::now();
        let bucket = Bucket::new(5.0, begin);
        let taken_at = |milliseconds: u64| {
            let now = begin + Duration::from_millis(milliseconds);
            (0..100).filter(|_| bucket.take(now)).count()
        };
        assert_eq!([0, 200, 400, 10_000].map(taken_at), [5, 1, 1, 5]);
        let seldom = Bucket::new(0.1, begin);
        assert!(seldom.take(begin) && !seldom.take(begin + Duration::from_secs(9)));
        assert!(seldom.take(begin + Duration::from_secs(20)));
    }

    #[test]
    fn equal_answers_are_told_from_changes() {
        let rates = |share| Rates::new([("a".to_owned(), share)], Rate::PerSecond(Bucket::new(2.0, Instant::now())));
        assert!(rates(0.5).are(&rates(0.5)));
        assert!(!rates(0.5).are(&rates(0.6)));
        assert!(!rates(0.5).are(&Rates::new([], Rate::Share(0.5))));
    }
}
