//! A dead letter in a line: what its headers say.

use std::collections::BTreeMap;

use messaging::dead_letter::Letter;
use serde::Serialize;
use time::format_description::well_known::Rfc3339;
use time::{OffsetDateTime, UtcOffset};

use super::{counted, shown};
use crate::output;

/// Characters of a text that are kept of each letter, so that a list of many fits into memory.
const MOST_KEPT: usize = 400;
/// Characters of an error in a table.
const MOST_IN_TABLE: usize = 60;
const MILLISECOND: u32 = 1_000_000;

/// A dead letter without its value.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LetterJson {
    id: String,
    /// When it was given up.
    time: Option<String>,
    reason: Option<String>,
    error: Option<String>,
    group: Option<String>,
    event_type: Option<String>,
    event_id: Option<String>,
    /// When it is text.
    key: Option<String>,
    source_topic: Option<String>,
    source_partition: Option<i32>,
    source_offset: Option<i64>,
    value_bytes: Option<usize>,
    /// Bytes of the value that was too large to carry.
    #[serde(skip_serializing_if = "Option::is_none")]
    truncated_bytes: Option<String>,
}

/// What `list` says.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct LettersJson {
    pub(crate) dead_letters: Vec<LetterJson>,
}

impl LetterJson {
    pub(crate) fn of(letter: &Letter) -> Self {
        let record = letter.record();
        let kept = |text: &str| shown(text, MOST_KEPT);
        let source = letter.source();
        Self {
            id: letter.place().to_string(),
            time: letter.time().and_then(written_out),
            reason: letter.reason().map(kept),
            error: letter.error().map(kept),
            group: letter.group().map(kept),
            event_type: record.event_type().map(kept),
            event_id: record.event_id().map(|id| id.to_string()),
            key: record.key.as_deref().and_then(|key| std::str::from_utf8(key).ok()).map(kept),
            source_topic: letter.source_topic().map(str::to_owned),
            source_partition: source.as_ref().map(|source| source.partition),
            source_offset: source.as_ref().map(|source| source.offset),
            value_bytes: record.value.as_ref().map(Vec::len),
            truncated_bytes: letter.truncated().map(kept),
        }
    }

    /// `orders.v1/2@93`, or what is known of it.
    pub(super) fn source(&self) -> String {
        match (&self.source_topic, self.source_partition, self.source_offset) {
            (Some(topic), Some(partition), Some(offset)) => format!("{topic}/{partition}@{offset}"),
            (Some(topic), _, _) => topic.clone(),
            (None, _, _) => String::new(),
        }
    }

    fn row(&self) -> Vec<String> {
        let text = |text: &Option<String>| text.clone().unwrap_or_else(|| "-".to_owned());
        let event = self.event_type.as_deref().map(|name| name.strip_prefix("events.v1.").unwrap_or(name).to_owned());
        vec![
            self.id.clone(),
            text(&self.time),
            text(&self.reason),
            text(&event),
            text(&self.key),
            self.source(),
            text(&self.group),
            shown(&text(&self.error), MOST_IN_TABLE),
        ]
    }
}

/// RFC 3339 in UTC with milliseconds.
fn written_out(time: OffsetDateTime) -> Option<String> {
    let time = time.to_offset(UtcOffset::UTC);
    time.replace_nanosecond(time.nanosecond() / MILLISECOND * MILLISECOND).ok()?.format(&Rfc3339).ok()
}

/// A line for each letter, and how many there are of each reason.
pub(crate) fn table(letters: &[LetterJson]) -> String {
    if letters.is_empty() {
        return "no dead letters".to_owned();
    }
    let header = ["DEAD LETTER", "GIVEN UP", "REASON", "EVENT", "ORDER", "FROM", "BY", "ERROR"].map(str::to_owned);
    let rows: Vec<Vec<String>> = std::iter::once(header.to_vec()).chain(letters.iter().map(LetterJson::row)).collect();
    let mut reasons: BTreeMap<&str, usize> = BTreeMap::new();
    for letter in letters {
        *reasons.entry(letter.reason.as_deref().unwrap_or("without a reason")).or_default() += 1;
    }
    let reasons: Vec<String> = reasons.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
    format!("{}\n{}: {}", output::table(&rows, &[]), counted(letters.len(), "dead letter"), reasons.join(", "))
}

#[cfg(test)]
mod tests {
    use super::super::tests::given_up;
    use super::*;

    #[test]
    fn letter_is_one_line_whatever_it_holds() {
        let record = given_up(Some(b"order-1"), Some(b"\xff"), &[("ce_type", b"events.v1.OrderPlaced")]);
        let text = table(&[LetterJson::of(&Letter::from(record))]);
        let lines: Vec<&str> = text.lines().collect();
        let [header, line, sum] = lines[..] else { panic!("three lines: {text}") };
        assert!(header.starts_with("DEAD LETTER         GIVEN UP "), "{text}");
        assert_eq!(
            line.split("  ").filter(|cell| !cell.is_empty()).map(str::trim).collect::<Vec<_>>(),
            [
                "orders.v1.dlq/4@17",
                "2026-01-02T03:04:05.678Z",
                "undecodable",
                "OrderPlaced",
                "order-1",
                "orders.v1/2@93",
                "inventory-svc",
                "no such\\u{1b}[2J\\nmessage",
            ]
        );
        assert_eq!(sum, "1 dead letter: 1 undecodable");
        assert_eq!(table(&[]), "no dead letters");
    }

    #[test]
    fn what_a_letter_lacks_is_null() {
        let record = given_up(None, None, &[("dlq-truncated", b"5000000")]);
        let json = serde_json::to_value(LetterJson::of(&Letter::from(record))).expect("it can be serialized");
        for field in ["key", "eventType", "eventId", "valueBytes"] {
            assert!(json[field].is_null(), "{field} in {json}");
        }
        assert_eq!((&json["sourceOffset"], &json["truncatedBytes"]), (&93.into(), &"5000000".into()));
    }
}
