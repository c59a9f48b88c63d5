//! All of a dead letter: every header, the key, and the value as the message that it is or should have been.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use messaging::dead_letter::Letter;
use messaging::record::Record;
use serde::Serialize;

use super::facts::LetterJson;
use super::shown;
use crate::json;

/// Characters of a header.
const MOST_OF_HEADER: usize = 400;
/// Bytes of a value that is no message.
const MOST_OF_VALUE: usize = 256;
const BYTES_IN_LINE: usize = 16;

/// A dead letter with everything in it; bytes that are no text in base64.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct WholeJson {
    #[serde(flatten)]
    letter: LetterJson,
    /// The key, when there is one.
    key_base64: Option<String>,
    headers: Vec<HeaderJson>,
    /// The value, when it is the message that `ce_type` names.
    event: Option<json::EventJson>,
    /// The value, when there is one.
    value_base64: Option<String>,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct HeaderJson {
    name: String,
    /// Null when there is none.
    value: Option<String>,
    /// Instead of `value`, when it is no text.
    #[serde(skip_serializing_if = "Option::is_none")]
    value_base64: Option<String>,
}

impl WholeJson {
    pub(crate) fn of(letter: &Letter) -> Self {
        let record = letter.record();
        let base64 = |bytes: &Vec<u8>| STANDARD.encode(bytes);
        let header = |(name, value): &(String, Option<Vec<u8>>)| {
            let text = value.as_deref().map(std::str::from_utf8);
            let no_text = value.as_ref().filter(|_| matches!(text, Some(Err(_))));
            let text = text.and_then(Result::ok).map(str::to_owned);
            HeaderJson { name: name.clone(), value: text, value_base64: no_text.map(base64) }
        };
        Self {
            letter: LetterJson::of(letter),
            key_base64: record.key.as_ref().map(base64),
            headers: record.headers.iter().map(header).collect(),
            event: event(record),
            value_base64: record.value.as_ref().map(base64),
        }
    }
}

fn event(record: &Record) -> Option<json::EventJson> {
    json::event(record.event_type()?, record.value.as_deref()?)
}

/// The letter for people.
///
/// # Errors
/// The message in it can't be written as JSON, which does not happen.
pub(crate) fn whole(letter: &Letter) -> serde_json::Result<String> {
    let record = letter.record();
    let mut lines = vec![
        format!("dead letter {}  from {}", letter.place(), LetterJson::of(letter).source()),
        format!("key  {}", bytes_or_text(record.key.as_deref())),
        "headers".to_owned(),
    ];
    let width = record.headers.iter().map(|(name, _)| shown(name, MOST_OF_HEADER).chars().count()).max().unwrap_or(0);
    for (name, value) in &record.headers {
        let (name, value) = (shown(name, MOST_OF_HEADER), bytes_or_text(value.as_deref()));
        lines.push(format!("  {name:<width$}  {value}"));
    }
    match (&record.value, event(record), letter.truncated()) {
        (None, _, Some(bytes)) => {
            lines.push(format!("value  {} bytes, too large to carry: it is gone", shown(bytes, MOST_OF_HEADER)));
        }
        (None, _, None) => lines.push("value  none".to_owned()),
        (Some(value), Some(event), _) => {
            lines.push(format!("value  {} bytes, {}", value.len(), record.event_type().unwrap_or_default()));
            lines.push(serde_json::to_string_pretty(&event)?);
        }
        (Some(value), None, _) => {
            let what = record.event_type().map(|name| format!(", no {}", shown(name, MOST_OF_HEADER)));
            lines.push(format!("value  {} bytes{}", value.len(), what.unwrap_or_default()));
            lines.push(hex_dump(value));
        }
    }
    Ok(lines.join("\n"))
}

fn bytes_or_text(bytes: Option<&[u8]>) -> String {
    let Some(bytes) = bytes else { return "none".to_owned() };
    match std::str::from_utf8(bytes) {
        Ok(text) => shown(text, MOST_OF_HEADER),
        Err(_) => {
            let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("0x{}", shown(&text, MOST_OF_HEADER))
        }
    }
}

/// The first bytes: where they are, in hexadecimal, and as far as they are printable.
fn hex_dump(bytes: &[u8]) -> String {
    let printable = |byte: &u8| if byte.is_ascii_graphic() || *byte == b' ' { char::from(*byte) } else { '.' };
    let line = |(number, line): (usize, &[u8])| {
        let hex: Vec<String> = line.iter().map(|byte| format!("{byte:02x}")).collect();
        let text: String = line.iter().map(printable).collect();
        format!("  {:04x}  {:<47}  {text}", number * BYTES_IN_LINE, hex.join(" "))
    };
    let first = &bytes[..bytes.len().min(MOST_OF_VALUE)];
    let mut lines: Vec<String> = first.chunks(BYTES_IN_LINE).enumerate().map(line).collect();
    if bytes.len() > first.len() {
        lines.push(format!("  … {} more (--json has all)", bytes.len() - first.len()));
    }
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use prost::Message as _;
    use proto::events::v1::OrderFulfilled;

    use super::super::tests::given_up;
    use super::*;

    fn text(key: Option<&[u8]>, value: Option<&[u8]>, more: &[(&str, &[u8])]) -> String {
        whole(&Letter::from(given_up(key, value, more))).expect("it can be written")
    }

    #[test]
    fn event_is_shown_as_json_below_key_and_headers() {
        let event = OrderFulfilled { order_id: "order-1".to_owned(), version: 3, ..OrderFulfilled::default() };
        let more: [(&str, &[u8]); 2] = [("ce_type", b"events.v1.OrderFulfilled"), ("x-binary", &[0, 159])];
        let text = text(Some(b"order-1"), Some(&event.encode_to_vec()), &more);
        assert!(text.starts_with("dead letter orders.v1.dlq/4@17  from orders.v1/2@93\nkey  order-1\n"), "{text}");
        assert!(text.contains("\n  dlq-error      no such\\u{1b}[2J\\nmessage\n"), "{text}");
        assert!(text.contains("\n  x-binary       0x009f\n"), "{text}");
        assert!(text.contains("value  11 bytes, events.v1.OrderFulfilled\n{\n  \"orderId\": \"order-1\","), "{text}");
    }

    #[test]
    fn garbage_is_shown_as_its_first_bytes() {
        let garbage: Vec<u8> = b"who knows".iter().copied().chain([0xff; 300]).collect();
        let text = text(None, Some(&garbage), &[("ce_type", b"events.v1.OrderPainted")]);
        assert!(text.contains("key  none\n"), "{text}");
        assert!(text.contains("value  309 bytes, no events.v1.OrderPainted\n"), "{text}");
        let first = "  0000  77 68 6f 20 6b 6e 6f 77 73 ff ff ff ff ff ff ff  who knows.......\n";
        assert!(text.contains(first), "{text}");
        assert!(text.ends_with("\n  … 53 more (--json has all)"), "{text}");
    }

    #[test]
    fn truncated_letter_says_so() {
        let text = text(Some(b"k"), None, &[("dlq-truncated", b"5000000")]);
        assert!(text.ends_with("value  5000000 bytes, too large to carry: it is gone"), "{text}");
    }

    #[test]
    fn programs_get_every_byte() {
        let letter = Letter::from(given_up(Some(&[0xff]), Some(&[1, 2]), &[("x-binary", &[0, 159]), ("x", b"")]));
        let json = serde_json::to_value(WholeJson::of(&letter)).expect("it can be serialized");
        assert_eq!((&json["keyBase64"], &json["valueBase64"]), (&"/w==".into(), &"AQI=".into()));
        assert_eq!(json["headers"][7], serde_json::json!({ "name": "x-binary", "value": null, "valueBase64": "AJ8=" }));
        assert_eq!(json["headers"][8], serde_json::json!({ "name": "x", "value": "" }));
        assert!(json["event"].is_null());
    }
}
