//! Dead letters as people and programs read them.
//!
//! What stands in a dead letter may come from anywhere: it is cut, and characters that would move a terminal's cursor are
//! shown and not sent.

mod facts;
mod replays;
mod whole;

pub(crate) use facts::{LetterJson, LettersJson, table};
pub(crate) use replays::{Outcome, Report};
pub(crate) use whole::{WholeJson, whole};

/// `text` in one line of at most `most` characters.
fn shown(text: &str, most: usize) -> String {
    let mut shown = String::new();
    for (count, character) in text.chars().enumerate() {
        if count == most {
            shown.pop();
            shown.push('…');
            break;
        }
        if character.is_control() {
            shown.extend(character.escape_default());
        } else {
            shown.push(character);
        }
    }
    shown
}

/// `1 dead letter`, `2 dead letters`.
fn counted(count: usize, what: &str) -> String {
    if count == 1 { format!("1 {what}") } else { format!("{count} {what}s") }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use messaging::record::Record;

    use super::*;

    /// A record in `orders.v1.dlq/4@17` that inventory gave up.
    pub(super) fn given_up(key: Option<&[u8]>, value: Option<&[u8]>, more: &[(&str, &[u8])]) -> Record {
        let dlq: [(&str, &[u8]); 7] = [
            ("dlq-reason", b"undecodable"),
            ("dlq-error", b"no such\x1b[2J\nmessage"),
            ("dlq-topic", b"orders.v1"),
            ("dlq-partition", b"2"),
            ("dlq-offset", b"93"),
            ("dlq-group", b"inventory-svc"),
            ("dlq-time", b"2026-01-02T03:04:05.678Z"),
        ];
        let header = |(name, value): &(&str, &[u8])| ((*name).to_owned(), Some(value.to_vec()));
        Record {
            topic: "orders.v1.dlq".to_owned(),
            partition: 4,
            offset: 17,
            key: key.map(<[u8]>::to_vec),
            value: value.map(<[u8]>::to_vec),
            headers: dlq.iter().chain(more).map(header).collect(),
            received: Instant::now(),
            written: None,
        }
    }

    #[test]
    fn texts_stay_in_their_line_and_length() {
        assert_eq!(shown("grüße", 5), "grüße");
        assert_eq!(shown("grüße!", 5), "grüß…");
        assert_eq!(shown("a\x1b[2J\nb", 60), "a\\u{1b}[2J\\nb");
    }
}
