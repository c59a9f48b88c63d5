//! What can be wrong with the settings, for people: one line per problem, the setting's name first.

use std::fmt::{Display, Formatter, Result};

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingProblem {
    subject: String,
    text: String,
}

impl SettingProblem {
    /// `subject` is a variable's name, a key of the file, or the file itself.
    pub(super) fn new(subject: impl Into<String>, text: impl Into<String>) -> Self {
        Self { subject: subject.into(), text: text.into() }
    }
}

impl Display for SettingProblem {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        write!(f, "{}: {}", self.subject, self.text)
    }
}

/// Everything that is wrong, one problem per line, in the order in which the settings are read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub struct SettingsErrors {
    problems: Vec<SettingProblem>,
}

impl SettingsErrors {
    pub(super) fn new(problems: Vec<SettingProblem>) -> Self {
        Self { problems }
    }

    /// The problems one by one; never empty.
    #[must_use]
    pub fn problems(&self) -> &[SettingProblem] {
        &self.problems
    }
}

impl Display for SettingsErrors {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        for (index, problem) in self.problems.iter().enumerate() {
            if index > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        Ok(())
    }
}
