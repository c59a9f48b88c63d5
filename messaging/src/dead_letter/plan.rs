//! Which dead letters of a run go back.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use observability::propagation::TraceHeaders;
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

use super::letter::{Letter, NotReplayable};
use super::place::Place;

/// What a replay does with a letter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision<'l> {
    /// It goes back to this topic.
    Send(&'l str),
    /// It stays: this letter of the run holds the same event.
    CopyOf(Place),
    /// It can't go back.
    Never(NotReplayable),
}

/// Decides letter by letter, so that of copies of one event the first goes and no other.
///
/// An event has several letters when it was replayed and given up again, or published twice. Its copies are told by where
/// they were read, or by the event's id. A record without an id is a copy of one with the same contents: otherwise each
/// replay of garbage would double it.
#[derive(Debug, Default)]
pub struct Plan {
    seen: HashMap<Mark, Place>,
}

/// What copies of one event have in common; each is of a bounded size, whatever a letter holds.
#[derive(Debug, PartialEq, Eq, Hash)]
enum Mark {
    ReadFrom(Place),
    Event(String, Uuid),
    Contents([u8; 32]),
}

impl Plan {
    /// What to do with the next letter of the run.
    pub fn decide<'l>(&mut self, letter: &'l Letter) -> Decision<'l> {
        let topic = match letter.replay_topic() {
            Ok(topic) => topic,
            Err(why) => return Decision::Never(why),
        };
        let event = match letter.record().event_id() {
            Some(id) => Mark::Event(topic.to_owned(), id),
            None => Mark::Contents(digest(letter)),
        };
        let mut first = None;
        for mark in letter.source().map(Mark::ReadFrom).into_iter().chain([event]) {
            match self.seen.entry(mark) {
                Entry::Occupied(seen) => first = Some(seen.get().clone()),
                Entry::Vacant(unseen) => drop(unseen.insert(letter.place())),
            }
        }
        first.map_or(Decision::Send(topic), Decision::CopyOf)
    }
}

/// Of everything that would go back, each part behind its length.
fn digest(letter: &Letter) -> [u8; 32] {
    let mut hash = Sha256::new();
    let mut add = |part: Option<&[u8]>| {
        hash.update([u8::from(part.is_some())]);
        hash.update(part.map_or(0, <[u8]>::len).to_be_bytes());
        hash.update(part.unwrap_or_default());
    };
    let record = letter.record();
    add(Some(record.topic.as_bytes()));
    add(record.key.as_deref());
    add(record.value.as_deref());
    for (name, value) in letter.headers_in(&TraceHeaders::default()) {
        add(Some(name.as_bytes()));
        add(value);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use super::super::letter::tests::letter;
    use super::*;

    const ID: &str = "0199d0a2-6b1e-7c3a-9d55-2f6f0a4b8c11";
    const OTHER_ID: &str = "0199d0a2-6b1e-7c3a-9d55-2f6f0a4b8c12";

    fn read_from(offset: &str, ce_id: &str) -> Letter {
        letter(&[("ce_id", ce_id), ("dlq-topic", "orders.v1"), ("dlq-partition", "0"), ("dlq-offset", offset)])
    }

    #[test]
    fn event_that_was_given_up_twice_goes_once() {
        let mut plan = Plan::default();
        let (first, again) = (read_from("1", ID), read_from("8", ID));
        assert_eq!(plan.decide(&first), Decision::Send("orders.v1"));
        assert_eq!(plan.decide(&again), Decision::CopyOf(first.place()));
        assert_eq!(plan.decide(&read_from("9", OTHER_ID)), Decision::Send("orders.v1"));
    }

    #[test]
    fn letters_of_one_record_are_copies_whatever_else_they_say() {
        let mut plan = Plan::default();
        assert_eq!(plan.decide(&read_from("1", ID)), Decision::Send("orders.v1"));
        assert!(matches!(plan.decide(&read_from("1", OTHER_ID)), Decision::CopyOf(_)));
    }

    #[test]
    fn records_without_an_id_are_copies_when_all_that_goes_back_is_the_same() {
        let mut plan = Plan::default();
        let garbage = |note: &str, offset: &str, traceparent: &str| {
            letter(&[
                ("note", note),
                ("traceparent", traceparent),
                ("dlq-topic", "orders.v1"),
                ("dlq-partition", "0"),
                ("dlq-offset", offset),
            ])
        };
        assert_eq!(plan.decide(&garbage("a", "1", "of the first")), Decision::Send("orders.v1"));
        assert!(matches!(plan.decide(&garbage("a", "2", "of its replay")), Decision::CopyOf(_)));
        assert_eq!(plan.decide(&garbage("b", "3", "of another")), Decision::Send("orders.v1"));
    }

    #[test]
    fn letter_that_cannot_go_is_nobodys_first() {
        let mut plan = Plan::default();
        let truncated = letter(&[("ce_id", ID), ("dlq-topic", "orders.v1"), ("dlq-truncated", "5000000")]);
        assert_eq!(plan.decide(&truncated), Decision::Never(NotReplayable::Truncated));
        assert_eq!(plan.decide(&read_from("1", ID)), Decision::Send("orders.v1"));
    }
}
