//! What became of dead letters that were to go back.

use messaging::dead_letter::{NotReplayable, Place, Replayed};
use serde::Serialize;

use super::counted;

const NOTHING_THERE: &str = "no dead letter lies there";

/// What became of one letter.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// It went.
    Sent(Replayed),
    /// It would have gone to this topic.
    WouldGo(String),
    /// This letter of the same event goes or went.
    Copy(Place),
    /// It can't go back.
    Never(NotReplayable),
    /// Its topic takes no such record any more.
    Refused(String),
    /// No letter lies there.
    Missing,
}

/// A letter and what became of it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct ReplayJson {
    id: String,
    outcome: &'static str,
    /// Where it lies now, or the topic that it would go to.
    #[serde(skip_serializing_if = "Option::is_none")]
    to: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    trace_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    copy_of: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

/// All that `replay` did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Report {
    pub(crate) dry_run: bool,
    /// Or would be, in a dry run.
    sent: usize,
    copies: usize,
    not_replayable: usize,
    refused: usize,
    missing: usize,
    letters: Vec<ReplayJson>,
}

impl Report {
    pub(crate) fn new(dry_run: bool) -> Self {
        Self { dry_run, ..Self::default() }
    }

    /// Whether everything that was to go did, or would.
    pub(crate) fn is_clean(&self) -> bool {
        self.not_replayable + self.refused + self.missing == 0
    }

    /// Notes what became of a letter and returns the line that says so.
    pub(crate) fn add(&mut self, id: &Place, outcome: Outcome) -> String {
        let count = match &outcome {
            Outcome::Sent(_) | Outcome::WouldGo(_) => &mut self.sent,
            Outcome::Copy(_) => &mut self.copies,
            Outcome::Never(_) => &mut self.not_replayable,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Missing => &mut self.missing,
        };
        *count += 1;
        let line = format!("{id}  {}", outcome.in_words());
        self.letters.push(ReplayJson::of(id, outcome));
        line
    }

    /// The numbers, for people.
    pub(crate) fn sum(&self) -> String {
        if self.letters.is_empty() {
            return "no dead letters".to_owned();
        }
        let verb = if self.dry_run { "would be sent" } else { "sent" };
        let mut parts = vec![format!("{} {verb}", counted(self.sent, "dead letter"))];
        for (count, what) in [
            (self.copies, "left out as copies"),
            (self.not_replayable, "can't go back"),
            (self.refused, "refused"),
            (self.missing, "not there"),
        ] {
            if count > 0 {
                parts.push(format!("{count} {what}"));
            }
        }
        parts.join(", ")
    }
}

impl Outcome {
    fn in_words(&self) -> String {
        match self {
            Self::Sent(Replayed { place, trace_id: Some(trace_id) }) => format!("sent to {place}  trace {trace_id}"),
            Self::Sent(Replayed { place, trace_id: None }) => format!("sent to {place}"),
            Self::WouldGo(topic) => format!("would go to {topic}"),
            Self::Copy(first) => format!("left out: a copy of {first}"),
            Self::Never(why) => format!("not sent: {why}"),
            Self::Refused(error) => format!("not sent: {error}"),
            Self::Missing => format!("not sent: {NOTHING_THERE}"),
        }
    }
}

impl ReplayJson {
    fn of(id: &Place, outcome: Outcome) -> Self {
        let new = |outcome| Self { id: id.to_string(), outcome, to: None, trace_id: None, copy_of: None, error: None };
        match outcome {
            Outcome::Sent(Replayed { place, trace_id }) => {
                Self { to: Some(place.to_string()), trace_id, ..new("sent") }
            }
            Outcome::WouldGo(topic) => Self { to: Some(topic), ..new("would_be_sent") },
            Outcome::Copy(first) => Self { copy_of: Some(first.to_string()), ..new("copy") },
            Outcome::Never(why) => Self { error: Some(why.to_string()), ..new("not_replayable") },
            Outcome::Refused(error) => Self { error: Some(error), ..new("refused") },
            Outcome::Missing => Self { error: Some(NOTHING_THERE.to_owned()), ..new("missing") },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(text: &str) -> Place {
        text.parse().expect("a place")
    }

    #[test]
    fn every_letter_has_a_line_and_a_number() {
        let mut report = Report::new(false);
        let (first, second) = (place("orders.v1.dlq/4@17"), place("orders.v1.dlq/4@18"));
        let sent = Replayed { place: place("orders.v1/4@120"), trace_id: Some("77".to_owned()) };
        assert_eq!(report.add(&first, Outcome::Sent(sent)), "orders.v1.dlq/4@17  sent to orders.v1/4@120  trace 77");
        assert_eq!(
            report.add(&second, Outcome::Copy(first.clone())),
            "orders.v1.dlq/4@18  left out: a copy of orders.v1.dlq/4@17"
        );
        assert!(report.is_clean(), "copies are no failures");
        assert_eq!(report.sum(), "1 dead letter sent, 1 left out as copies");
        let line = report.add(&second, Outcome::Never(NotReplayable::Truncated));
        assert_eq!(line, "orders.v1.dlq/4@18  not sent: its value was too large to carry and is gone");
        report.add(&second, Outcome::Missing);
        assert!(!report.is_clean());
        assert!(report.sum().ends_with("1 can't go back, 1 not there"), "{}", report.sum());
    }

    #[test]
    fn dry_run_promises_nothing_but_a_topic() {
        let mut report = Report::new(true);
        let line = report.add(&place("orders.v1.dlq/4@17"), Outcome::WouldGo("orders.v1".to_owned()));
        assert_eq!(line, "orders.v1.dlq/4@17  would go to orders.v1");
        assert_eq!(report.sum(), "1 dead letter would be sent");
        let json = serde_json::to_value(&report).expect("it can be serialized");
        assert_eq!((&json["dryRun"], &json["sent"]), (&true.into(), &1.into()));
        assert_eq!(json["letters"][0]["outcome"], "would_be_sent");
    }
}
