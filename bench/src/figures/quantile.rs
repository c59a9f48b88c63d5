//! How long most of many things took.

use serde::Serialize;

/// Quantiles of some figures, each one of them (nearest rank).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Quantiles {
    /// Half of the figures are at most this.
    pub p50: f64,
    /// 99 % of the figures are at most this.
    pub p99: f64,
    /// The greatest.
    pub max: f64,
}

impl Quantiles {
    /// Of at least one figure.
    ///
    /// # Panics
    /// On none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let mut sorted: Vec<f64> = figures.into_iter().collect();
        assert!(!sorted.is_empty(), "a quantile needs a figure");
        sorted.sort_unstable_by(f64::total_cmp);
        let at = |percent: usize| sorted[(sorted.len() * percent).div_ceil(100).max(1) - 1];
        Self { p50: at(50), p99: at(99), max: at(100) }
    }
}

/// A quantile (0 to 1) of a Prometheus histogram, as `histogram_quantile` estimates it: even within each bucket. `buckets`
/// are upper edges, ascending, with how many were at most that; the last edge is infinite. `None` of nothing.
#[must_use]
pub fn of_histogram(quantile: f64, buckets: &[(f64, f64)]) -> Option<f64> {
    let (_, total) = *buckets.last()?;
    let rank = quantile * total;
    let place = buckets.iter().position(|(_, count)| *count >= rank && *count > 0.0)?;
    let (low, below) = place.checked_sub(1).map_or((0.0, 0.0), |before| buckets[before]);
    let (high, count) = buckets[place];
    // Beyond the last finite edge nothing is known but that edge.
    Some(if high.is_finite() { low + (high - low) * (rank - below) / (count - below) } else { low })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_figures_that_there_were() {
        let quantiles = Quantiles::of((1..=200).rev().map(f64::from));
        assert_eq!(quantiles, Quantiles { p50: 100.0, p99: 198.0, max: 200.0 });
        assert_eq!(Quantiles::of([7.0]), Quantiles { p50: 7.0, p99: 7.0, max: 7.0 });
    }

    #[test]
    fn a_histogram_is_even_within_its_buckets() {
        let buckets = [(0.01, 50.0), (0.02, 100.0), (f64::INFINITY, 100.0)];
        assert_eq!(of_histogram(0.5, &buckets), Some(0.01));
        assert_eq!(of_histogram(0.75, &buckets), Some(0.015));
        assert_eq!(of_histogram(0.99, &[(0.01, 0.0), (f64::INFINITY, 3.0)]), Some(0.01));
        assert_eq!(of_histogram(0.5, &[(0.01, 0.0), (f64::INFINITY, 0.0)]), None);
    }
}
