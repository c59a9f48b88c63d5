//! The TOML file: flat, `key = value`, a key being a variable's name in lower case.

use std::collections::BTreeMap;
use std::path::Path;

use toml::Value;

use super::problem::SettingProblem;

/// Two slips of the finger are a near miss, more are another word.
const NEAR_MISS: usize = 2;

#[derive(Debug, Default)]
pub(super) struct SettingsFile {
    values: BTreeMap<String, String>,
}

impl SettingsFile {
    /// What can't be read goes to `problems`; the rest is kept.
    pub(super) fn read(path: &Path, problems: &mut Vec<SettingProblem>) -> Self {
        let subject = path.display().to_string();
        match std::fs::read_to_string(path) {
            Ok(text) => Self::parse(&text, &subject, problems),
            Err(error) => {
                problems.push(SettingProblem::new(subject, format!("cannot be read: {error}")));
                Self::default()
            }
        }
    }

    fn parse(text: &str, subject: &str, problems: &mut Vec<SettingProblem>) -> Self {
        let table: toml::Table = match toml::from_str(text) {
            Ok(table) => table,
            Err(error) => {
                // The error's own Display quotes the line, which may be the one with the password.
                let line = error.span().map_or(1, |span| text[..span.start].matches('\n').count() + 1);
                problems.push(SettingProblem::new(subject, format!("line {line}: not TOML: {}", error.message())));
                return Self::default();
            }
        };
        let mut values = BTreeMap::new();
        for (key, value) in table {
            match plain_text(&value) {
                Some(text) => {
                    values.insert(key, text);
                }
                None => problems.push(SettingProblem::new(
                    key,
                    format!(
                        "a {} in {subject}; expected a text, a number, true or false, or a list of those",
                        value.type_str()
                    ),
                )),
            }
        }
        Self { values }
    }

    /// `name` is the variable's name.
    pub(super) fn get(&self, name: &str) -> Option<&str> {
        self.values.get(&name.to_ascii_lowercase()).map(String::as_str)
    }

    /// A problem for each key that is no setting.
    pub(super) fn unknown_keys(&self, known: &[&'static str]) -> Vec<SettingProblem> {
        let known: Vec<String> = known.iter().map(|name| name.to_ascii_lowercase()).collect();
        let unknown = self.values.keys().filter(|key| !known.contains(key));
        unknown.map(|key| SettingProblem::new(key, unknown_text(key, &known))).collect()
    }
}

/// A value as it would be written into the environment; a list becomes `a,b`.
fn plain_text(value: &Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text.clone()),
        Value::Integer(number) => Some(number.to_string()),
        Value::Float(number) => Some(number.to_string()),
        Value::Boolean(flag) => Some(flag.to_string()),
        Value::Array(values) => values.iter().map(plain_text).collect::<Option<Vec<_>>>().map(|texts| texts.join(",")),
        Value::Datetime(_) | Value::Table(_) => None,
    }
}

fn unknown_text(key: &str, known: &[String]) -> String {
    let lower_case = key.to_ascii_lowercase();
    let nearest = known.iter().map(|name| (distance(&lower_case, name), name)).min();
    match nearest {
        Some((slips, name)) if slips <= NEAR_MISS => format!("unknown key in the file; did you mean {name}?"),
        Some(_) | None => "unknown key in the file".to_owned(),
    }
}

/// Levenshtein's distance between two short ASCII names, one row of the matrix at a time.
fn distance(left: &str, right: &str) -> usize {
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, left_byte) in left.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, right_byte) in right.bytes().enumerate() {
            let substituted = diagonal + usize::from(left_byte != right_byte);
            diagonal = row[j + 1];
            row[j + 1] = substituted.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[right.len()]
}
