//! Which dead letters a command is about.

use clap::Args;
use clap::builder::PossibleValuesParser;
use messaging::dead_letter::{self, Letter, Reason};
use proto::topics;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use crate::cli::parse_duration;

/// All that a letter must be.
#[derive(Debug, Args)]
pub(super) struct Filter {
    /// Only records of this topic
    #[arg(long, value_parser = [topics::ORDERS, topics::INVENTORY])]
    topic: Option<String>,
    /// Only records that were given up for this reason
    #[arg(long, value_parser = PossibleValuesParser::new(Reason::ALL.map(Reason::as_str)))]
    reason: Option<String>,
    /// Only records that were given up since then: RFC 3339, or a time ago such as 15m
    #[arg(long, value_name = "TIME", value_parser = parse_since)]
    since: Option<OffsetDateTime>,
}

impl Filter {
    /// The topics that such letters lie in.
    pub(super) fn topics(&self) -> Vec<String> {
        let sources = [topics::ORDERS, topics::INVENTORY];
        let wanted = sources.into_iter().filter(|source| self.topic.as_deref().is_none_or(|topic| topic == *source));
        wanted.map(dead_letter::topic_for).collect()
    }

    /// Whether `letter`, of one of those topics, is one.
    pub(super) fn takes(&self, letter: &Letter) -> bool {
        self.reason.as_deref().is_none_or(|reason| letter.reason() == Some(reason))
            && self.since.is_none_or(|since| letter.time().is_some_and(|time| time >= since))
    }
}

fn parse_since(text: &str) -> Result<OffsetDateTime, String> {
    if let Ok(ago) = parse_duration(text) {
        return Ok(OffsetDateTime::now_utc() - ago);
    }
    OffsetDateTime::parse(text, &Rfc3339)
        .map_err(|_| "expected a time such as 2026-01-02T03:04:05Z, or how long ago, such as 15m".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_is_a_moment_or_a_time_ago() {
        assert_eq!(parse_since("2026-01-02T03:04:05Z").map(OffsetDateTime::unix_timestamp), Ok(1_767_323_045));
        let ago = OffsetDateTime::now_utc() - parse_since("2m").expect("a duration");
        assert!((119.0..121.0).contains(&ago.as_seconds_f64()), "{ago}");
        for wrong in ["", "yesterday", "2026-01-02", "2026-01-02T03:04:05"] {
            assert!(parse_since(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn topics_are_those_of_the_dead_letters() {
        let filter = |topic: Option<&str>| Filter { topic: topic.map(str::to_owned), reason: None, since: None };
        assert_eq!(filter(None).topics(), [topics::ORDERS_DEAD_LETTERS, topics::INVENTORY_DEAD_LETTERS]);
        assert_eq!(filter(Some(topics::INVENTORY)).topics(), [topics::INVENTORY_DEAD_LETTERS]);
    }
}
