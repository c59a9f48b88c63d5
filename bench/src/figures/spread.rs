//! What several rounds say together.

use std::fmt;

use serde::Serialize;

/// The median of some figures, and how far they lie apart.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Spread {
    /// The middle one, or the mean of the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub greatest: f64,
}

impl Spread {
    /// Of at least one figure.
    ///
    /// # Panics
    /// On none.
    #[must_use]
    pub fn of(figures: impl IntoIterator<Item = f64>) -> Self {
        let sorted = sorted(figures);
        let (least, greatest) = (sorted[0], sorted[sorted.len() - 1]);
        Self { median: middle(&sorted), least, greatest }
    }
}

/// The figure in the middle.
///
/// # Panics
/// On none.
#[must_use]
pub fn median(figures: impl IntoIterator<Item = f64>) -> f64 {
    middle(&sorted(figures))
}

fn sorted(figures: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut sorted: Vec<f64> = figures.into_iter().collect();
    assert!(!sorted.is_empty(), "a median needs a figure");
    sorted.sort_unstable_by(f64::total_cmp);
    sorted
}

fn middle(sorted: &[f64]) -> f64 {
    f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2])
}

/// Two digits behind the point: `0.61 (0.55 to 0.66)`.
impl fmt::Display for Spread {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:.2} ({:.2} to {:.2})", self.median, self.least, self.greatest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_in_the_middle() {
        assert_eq!(median([3.0]), 3.0);
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 100.0]), 3.0);
        assert_eq!(Spread::of([0.6, 0.5, 0.7]).to_string(), "0.60 (0.50 to 0.70)");
    }
}
