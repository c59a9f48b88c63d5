//! Settings: an optional TOML file and the environment, read into one struct per concern.
//!
//! What it guarantees:
//!
//! - **The environment wins** over the file, the file over the default. A key of the file is the variable's name in
//!   lower case.
//! - **An empty value counts as unset**, as the OpenTelemetry specification rules for its own variables: compose files
//!   and shells hand on `NAME=${NAME:-}`, and no setting of ours has a use for an empty text.
//! - **All problems are reported at once**, one per line, each beginning with the setting's name. A read never stops at
//!   the first mistake: it records the problem and hands out a stand-in, which nobody uses because
//!   [`SettingsReader::finish`] fails.
//! - **Unknown keys of the file are refused**, with the near miss named. (The environment is shared with everything
//!   else on the machine, so unknown variables there say nothing.)
//! - **Secrets are never shown**, neither in the table of `check-config` nor in a problem's text.
//!
//! Reading declares: what the services read *is* the list of settings that `--help` prints and that a README's table is
//! checked against ([`SettingsReader::table`]).

mod duration;
mod file;
mod problem;
mod redact;
mod table;

use std::collections::HashMap;
use std::fmt::Display;
use std::net::SocketAddr;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

pub use duration::{DurationError, parse_duration};
pub use problem::{SettingProblem, SettingsErrors};
pub use table::{DefaultValue, SettingRow, Source, effective, help_table, markdown_table};

use crate::listen::ListenAddress;
use file::SettingsFile;

/// Collects the settings of a process, and everything that is wrong with them.
#[derive(Debug)]
pub struct SettingsReader {
    file: SettingsFile,
    environment: HashMap<String, String>,
    rows: Vec<SettingRow>,
    problems: Vec<SettingProblem>,
}

/// How a value may be shown.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Visibility {
    Plain,
    Secret,
}

impl SettingsReader {
    /// Reads `file` (TOML) and takes `environment` as it is. A file that can't be read or parsed is one more problem
    /// for [`finish`](Self::finish) to report, so that a mistake in a variable is not hidden behind it.
    pub fn new(file: Option<&Path>, environment: impl IntoIterator<Item = (String, String)>) -> Self {
        let mut problems = Vec::new();
        let file = file.map_or_else(SettingsFile::default, |path| SettingsFile::read(path, &mut problems));
        Self { file, environment: environment.into_iter().collect(), rows: Vec::new(), problems }
    }

    /// A reader without any value: for [`table`](Self::table), which only wants to know what is read.
    #[must_use]
    pub fn without_values() -> Self {
        Self::new(None, [])
    }

    /// A text that has no default. `help` says what to set it to. Hands out "" when it is missing.
    pub fn required_text(&mut self, name: &'static str, help: &'static str) -> String {
        self.required(name, help, Visibility::Plain)
    }

    /// Like [`required_text`](Self::required_text), for a value that must not be shown: of a URL only the password is
    /// hidden, of anything else everything.
    pub fn required_secret(&mut self, name: &'static str, help: &'static str) -> String {
        self.required(name, help, Visibility::Secret)
    }

    /// A value with a default.
    ///
    /// # Panics
    /// When `default` is not a `T`: that is a mistake in the program, which every test of the settings finds.
    pub fn value<T>(&mut self, name: &'static str, default: &'static str, help: &'static str) -> T
    where
        T: FromStr,
        T::Err: Display,
    {
        self.parsed(name, default, help, parse_any)
    }

    /// A value that may be left out.
    pub fn optional<T>(&mut self, name: &'static str, help: &'static str) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let given = self.given(name);
        self.declare(name, DefaultValue::Unset, help, given.as_ref(), Visibility::Plain);
        let (text, _) = given?;
        parse_any(&text).map_err(|problem| self.reject(name, problem)).ok()
    }

    /// A span of time with its unit: `250ms`, `20s`, `2m`, `1h`.
    ///
    /// # Panics
    /// When `default` is not a span of time.
    pub fn duration(&mut self, name: &'static str, default: &'static str, help: &'static str) -> Duration {
        self.parsed(name, default, help, |text| {
            parse_duration(text).map_err(|error| format!("'{}' is {error}", redact::quoted(text)))
        })
    }

    /// An address to listen on: numeric host and port. Names are not resolved, so that what is bound stands in the
    /// settings.
    ///
    /// # Panics
    /// When `default` is not an address.
    pub fn address(&mut self, name: &'static str, default: &'static str, help: &'static str) -> SocketAddr {
        self.parsed(name, default, help, |text| {
            text.parse().map_err(|_| {
                let shown = redact::quoted(text);
                format!("'{shown}' is not an address: write HOST:PORT with a numeric host, as in 0.0.0.0:50051")
            })
        })
    }

    /// The same, or `unix:PATH` for a Unix socket.
    ///
    /// # Panics
    /// When `default` is neither.
    pub fn listen_address(&mut self, name: &'static str, default: &'static str, help: &'static str) -> ListenAddress {
        self.parsed(name, default, help, |text| {
            text.parse().map_err(|()| {
                let shown = redact::quoted(text);
                format!(
                    "'{shown}' is not an address: write HOST:PORT with a numeric host, as in 0.0.0.0:50051, or unix:PATH"
                )
            })
        })
    }

    /// `true` or `false`, in any case.
    ///
    /// # Panics
    /// When `default` is neither.
    pub fn flag(&mut self, name: &'static str, default: &'static str, help: &'static str) -> bool {
        self.parsed(name, default, help, |text| {
            let problem = || format!("'{}' is neither true nor false", redact::quoted(text));
            text.to_ascii_lowercase().parse().map_err(|_| problem())
        })
    }

    /// Records a rule that a value breaks alone or together with others. `problem` must not quote a secret.
    pub fn reject(&mut self, name: &'static str, problem: String) {
        self.problems.push(SettingProblem::new(name, problem));
    }

    /// The settings as they are in effect, in the order in which they were read.
    ///
    /// # Errors
    /// Everything that is wrong: the file, missing and bad values, broken rules, unknown keys.
    pub fn finish(mut self) -> Result<Vec<SettingRow>, SettingsErrors> {
        let known: Vec<&'static str> = self.rows.iter().map(|row| row.name).collect();
        self.problems.extend(self.file.unknown_keys(&known));
        if self.problems.is_empty() { Ok(self.rows) } else { Err(SettingsErrors::new(self.problems)) }
    }

    /// Like [`finish`](Self::finish), when only some of the settings were read: keys of the file that were not asked
    /// for may be the other ones.
    pub(crate) fn finish_some(self) -> Result<(), SettingsErrors> {
        if self.problems.is_empty() { Ok(()) } else { Err(SettingsErrors::new(self.problems)) }
    }

    /// What was read, whatever the values are: the table of `--help` and of a README.
    #[must_use]
    pub fn table(self) -> Vec<SettingRow> {
        self.rows
    }

    fn required(&mut self, name: &'static str, help: &'static str, visibility: Visibility) -> String {
        let given = self.given(name);
        self.declare(name, DefaultValue::Required, help, given.as_ref(), visibility);
        let Some((text, _)) = given else {
            self.reject(name, format!("missing; set it to {help}"));
            return String::new();
        };
        text
    }

    fn parsed<T>(
        &mut self,
        name: &'static str,
        default: &'static str,
        help: &'static str,
        parse: impl Fn(&str) -> Result<T, String>,
    ) -> T {
        let given = self.given(name);
        self.declare(name, DefaultValue::Text(default), help, given.as_ref(), Visibility::Plain);
        if let Some((text, _)) = given {
            match parse(&text) {
                Ok(value) => return value,
                Err(problem) => self.reject(name, problem),
            }
        }
        match parse(default) {
            Ok(value) => value,
            Err(problem) => panic!("the program's own default for {name}: {problem}"),
        }
    }

    fn given(&self, name: &str) -> Option<(String, Source)> {
        let in_environment = self.environment.get(name).filter(|text| !text.is_empty());
        if let Some(text) = in_environment {
            return Some((text.clone(), Source::Environment));
        }
        self.file.get(name).filter(|text| !text.is_empty()).map(|text| (text.to_owned(), Source::File))
    }

    /// A setting that two concerns read stands in the table once.
    fn declare(
        &mut self,
        name: &'static str,
        default: DefaultValue,
        help: &'static str,
        given: Option<&(String, Source)>,
        visibility: Visibility,
    ) {
        if self.rows.iter().any(|row| row.name == name) {
            return;
        }
        let (value, source) = match given {
            Some((text, source)) if visibility == Visibility::Secret => (redact::secret(text), *source),
            Some((text, source)) => (redact::plain(text), *source),
            None => (default.as_value().to_owned(), Source::Default),
        };
        self.rows.push(SettingRow { name, default, help, value, source });
    }
}

/// Parses any type; the problem quotes the value, unless the type's own error does.
fn parse_any<T>(text: &str) -> Result<T, String>
where
    T: FromStr,
    T::Err: Display,
{
    text.parse().map_err(|error: T::Err| {
        let shown = redact::quoted(text);
        let problem = error.to_string();
        // An error type that quotes its input knows nothing of secrets.
        let problem = problem.replace(text, &shown);
        if problem.contains(&format!("{shown:?}")) { problem } else { format!("'{shown}' can't be used: {problem}") }
    })
}

#[cfg(test)]
mod tests;
