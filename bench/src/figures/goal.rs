//! What a figure has to be.

use std::fmt;

use serde::Serialize;

use crate::spread::Spread;

/// On which side of its goal a figure is to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Bound {
    /// The more the better.
    AtLeast,
    /// The less the better.
    AtMost,
}

/// A ratio, and what it has to be.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Goal {
    /// Its number in the table of goals, where it has one.
    pub name: &'static str,
    /// What is divided by what.
    pub ratio: &'static str,
    /// On which side of the next two it is to be.
    pub bound: Bound,
    /// What it must be.
    pub must: f64,
    /// What it would rather be.
    pub aim: Option<f64>,
}

/// A goal, and what became of it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Verdict {
    /// What was wanted.
    pub goal: Goal,
    /// What was measured, over the rounds.
    pub measured: Spread,
    /// Whether the median is what it must be.
    pub must_reached: bool,
    /// Whether the median is what it would rather be.
    pub aim_reached: Option<bool>,
}

impl Goal {
    /// Judges the ratios of the rounds by their median.
    #[must_use]
    pub fn judge(self, ratios: impl IntoIterator<Item = f64>) -> Verdict {
        let measured = Spread::of(ratios);
        let reached = |goal: f64| match self.bound {
            Bound::AtLeast => measured.median >= goal,
            Bound::AtMost => measured.median <= goal,
        };
        Verdict { goal: self, measured, must_reached: reached(self.must), aim_reached: self.aim.map(reached) }
    }
}

impl Verdict {
    /// Cells of a table: goal, ratio, what was measured, must and aim with what became of them.
    #[must_use]
    pub fn row(&self) -> Vec<String> {
        let Self { goal, measured, must_reached, aim_reached } = self;
        let aim = goal.aim.zip(*aim_reached);
        let aim = aim.map(|(aim, reached)| format!("aim {}", Wanted { bound: goal.bound, figure: aim, reached }));
        vec![
            goal.name.to_owned(),
            goal.ratio.to_owned(),
            measured.to_string(),
            format!("must {}", Wanted { bound: goal.bound, figure: goal.must, reached: *must_reached }),
            aim.unwrap_or_default(),
        ]
    }
}

struct Wanted {
    bound: Bound,
    figure: f64,
    reached: bool,
}

impl fmt::Display for Wanted {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { bound, figure, reached } = self;
        let sign = match bound {
            Bound::AtLeast => '≥',
            Bound::AtMost => '≤',
        };
        // 0.95 with all its digits, and 1.0 as a figure that is no count.
        write!(formatter, "{sign} {figure:?} {}", if *reached { "reached" } else { "missed" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOAL: Goal = Goal { name: "P1", ratio: "ours / theirs", bound: Bound::AtLeast, must: 0.6, aim: Some(1.0) };

    #[test]
    fn the_median_of_the_rounds_decides() {
        let row = GOAL.judge([0.2, 0.6, 1.5]).row();
        assert_eq!(row, ["P1", "ours / theirs", "0.60 (0.20 to 1.50)", "must ≥ 0.6 reached", "aim ≥ 1.0 missed"]);
    }

    #[test]
    fn less_may_be_better() {
        let most = Goal { bound: Bound::AtMost, must: 1.3, aim: None, ..GOAL };
        assert_eq!(most.judge([1.4]).row()[3..], ["must ≤ 1.3 missed", ""]);
        assert!(most.judge([1.2]).must_reached);
    }
}
