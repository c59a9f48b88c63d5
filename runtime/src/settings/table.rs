//! The settings as tables: for `--help`, for `check-config`, for a README.

use std::fmt::{Display, Formatter, Result};

/// One setting: what it is called, what it means, what is in effect.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SettingRow {
    /// The environment variable; in lower case the key in the file.
    pub name: &'static str,
    /// What holds when nobody sets it.
    pub default: DefaultValue,
    /// What it means, with its unit.
    pub help: &'static str,
    /// What is in effect, with secrets redacted.
    pub value: String,
    /// Where that came from.
    pub source: Source,
}

/// What holds when a setting is not set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DefaultValue {
    /// Nothing: it must be set.
    Required,
    /// Nothing: it may be left out.
    Unset,
    /// This text.
    Text(&'static str),
}

impl DefaultValue {
    pub(super) fn as_value(self) -> &'static str {
        match self {
            Self::Required | Self::Unset => "",
            Self::Text(text) => text,
        }
    }
}

impl Display for DefaultValue {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(match self {
            Self::Required => "required",
            Self::Unset => "unset",
            Self::Text(text) => text,
        })
    }
}

/// Where a value came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The process' environment.
    Environment,
    /// The TOML file.
    File,
    /// Nobody set it.
    Default,
}

impl Display for Source {
    fn fmt(&self, f: &mut Formatter<'_>) -> Result {
        f.pad(match self {
            Self::Environment => "environment",
            Self::File => "file",
            Self::Default => "default",
        })
    }
}

/// Name, default and meaning in columns, for a terminal.
#[must_use]
pub fn help_table(rows: &[SettingRow]) -> String {
    let name_width = widest(rows.iter().map(|row| row.name.len()));
    let default_width = widest(rows.iter().map(|row| row.default.to_string().len()));
    let line = |row: &SettingRow| format!("  {:name_width$}  {:default_width$}  {}\n", row.name, row.default, row.help);
    rows.iter().map(line).collect()
}

/// `NAME=value` and where it came from, for `check-config`. Settings that are not in effect are left out.
#[must_use]
pub fn effective(rows: &[SettingRow]) -> String {
    let shown: Vec<(String, Source)> = rows
        .iter()
        .filter(|row| !row.value.is_empty())
        .map(|row| (format!("{}={}", row.name, row.value), row.source))
        .collect();
    let width = widest(shown.iter().map(|(assignment, _)| assignment.chars().count()));
    shown.iter().map(|(assignment, source)| format!("{assignment:width$}  # {source}\n")).collect()
}

/// The rows of a Markdown table with the columns variable, default and meaning.
#[must_use]
pub fn markdown_table(rows: &[SettingRow]) -> String {
    let line = |row: &SettingRow| {
        let default = match row.default {
            DefaultValue::Required => "required".to_owned(),
            DefaultValue::Unset => String::new(),
            DefaultValue::Text(text) => format!("`{text}`"),
        };
        format!("| `{}` | {default} | {} |\n", row.name, row.help.replace('|', "\\|"))
    };
    let head = "| variable | default | meaning |\n|---|---|---|\n".to_owned();
    rows.iter().map(line).fold(head, |table, line| table + &line)
}

fn widest(lengths: impl Iterator<Item = usize>) -> usize {
    lengths.max().unwrap_or_default()
}
