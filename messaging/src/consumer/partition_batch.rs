use std::time::{Duration, Instant, SystemTime};

use observability::propagation::TraceHeaders;
use observability::{names, spans};
use opentelemetry::Context;
use postgres::sqlstate::Verdict as Failure;
use postgres::{Database, Transaction, TransactionError};
use runtime::faults::{self, Mistake, Point};
use time::OffsetDateTime;

use super::positions::{self, Move, Partition};
use super::{Handler, Poison, Standing, Traced, Verdict};
use crate::dead_letter::{self, Reason};
use crate::outbox;
use crate::record::Record;

/// How long an event is left to the call that will probably do what it asks for: longer than a call takes under load.
const PATIENCE: Duration = Duration::from_millis(500);
/// Records of a partition that may wait so.
const MOST_WAITING: usize = 1_024;
/// The operation's name in metrics and spans.
const OPERATION: &str = "consume";

/// Works off records of one partition: all in one transaction, or by halves when one of them spoils it (T6).
pub(super) struct PartitionBatch<'a, H: Handler> {
    pub(super) place: Partition<'a>,
    pub(super) handler: &'a H,
    pub(super) database: &'a Database,
}

/// How far it came.
pub(super) struct Done {
    /// The position now.
    pub(super) next: i64,
    /// What is still to be done: the database is away, or busy.
    pub(super) left: Vec<Record>,
    /// The stored position was not what was expected.
    pub(super) moved_by_another: bool,
}

struct Item<E> {
    record: Record,
    /// Empty for what is of no concern.
    event: Option<Traced<E>>,
    poison: Option<Poison>,
    span: Context,
    taken: Instant,
}

enum Applied<E> {
    Verdicts(Vec<Verdict>, Option<E>),
    Fenced,
}

impl<H: Handler> PartitionBatch<'_, H> {
    /// How many of the first records may be worked off now, and whether nothing is to be done about those but to move the
    /// position past them. The others wait for the calls that they tell of.
    pub(super) fn ready(&self, records: &[Record]) -> (usize, bool) {
        let mut only_old_news = true;
        for (place, record) in records.iter().enumerate() {
            let standing = match self.handler.decode(record) {
                Ok(Some(event)) => self.handler.standing(&event),
                Ok(None) => Standing::OldNews,
                Err(_) => Standing::News,
            };
            let may_wait = records.len() <= MOST_WAITING && record.is_younger_than(PATIENCE);
            match standing {
                Standing::OldNews => {}
                Standing::Expected if may_wait => return (place, only_old_news),
                Standing::Expected | Standing::News => only_old_news = false,
            }
        }
        (records.len(), only_old_news)
    }

    /// Ends the spans of old news and counts the records, once the position was moved past them.
    pub(super) fn passed_over(&self, records: &[Record], taken: Instant) {
        for record in records {
            spans::end(&self.span(record));
            self.count(taken, "ignored");
        }
    }

    /// Processes `records` from `position` on, all of them [due](due).
    pub(super) async fn process(&self, position: i64, records: Vec<Record>) -> Done {
        let mut next = position;
        let mut pieces = vec![records];
        while let Some(piece) = pieces.pop() {
            let Some(last) = piece.last() else { continue };
            let end = last.offset + 1;
            let items: Vec<Item<H::Event>> = piece.into_iter().map(|record| self.open(record)).collect();
            let started = SystemTime::now();
            let result = self.transact(next, end, &items, None).await;
            let error = result.as_ref().err().map(describe);
            record_operation(started, &items, error.as_deref());
            match result {
                Ok(Applied::Verdicts(verdicts, effects)) => {
                    self.handler.committed(effects);
                    next = end;
                    self.close(&items, &verdicts, None);
                }
                Ok(Applied::Fenced) => return self.fenced(next),
                Err(failure) => match failure.verdict() {
                    Some(Failure::Command) if items.len() > 1 => {
                        let mut first = self.abandon(items, &failure);
                        let second = first.split_off(first.len() / 2);
                        pieces.push(second);
                        pieces.push(first);
                    }
                    Some(Failure::Command) => {
                        let poison = Poison { reason: Reason::Refused, error: describe(&failure) };
                        match self.transact(next, end, &items, Some(&poison)).await {
                            Ok(Applied::Verdicts(verdicts, effects)) => {
                                self.handler.committed(effects);
                                next = end;
                                self.close(&items, &verdicts, Some(&poison));
                            }
                            Ok(Applied::Fenced) => return self.fenced(next),
                            Err(failure) => return self.later(next, items, pieces, &failure),
                        }
                    }
                    // In doubt: the fence of the next try tells whether it was committed (T4).
                    None | Some(Failure::Again | Failure::Away | Failure::Bug) => {
                        return self.later(next, items, pieces, &failure);
                    }
                },
            }
        }
        Done { next, left: Vec::new(), moved_by_another: false }
    }

    /// Whoever moved the position has processed these records: another consumer, or we, in a commit that seemed in doubt.
    /// What is still due is fetched again.
    fn fenced(&self, next: i64) -> Done {
        self.handler.committed(None);
        Done { next, left: Vec::new(), moved_by_another: true }
    }

    fn span(&self, record: &Record) -> Context {
        let parent = record.trace().to_context();
        let event_id = record.header(proto::headers::CE_ID).unwrap_or_default();
        spans::process(self.place.topic, record.partition, record.offset, event_id, self.place.group, &parent)
    }

    fn open(&self, record: Record) -> Item<H::Event> {
        let span = self.span(&record);
        let (event, poison) = match self.handler.decode(&record) {
            Ok(event) => (event.map(|event| Traced { event, trace: TraceHeaders::of(&span) }), None),
            Err(poison) => (None, Some(poison)),
        };
        Item { record, event, poison, span, taken: Instant::now() }
    }

    /// One transaction: the fence, the effects, the dead letters. With `refused`, the only record is one that the database
    /// would not take, and becomes a dead letter instead.
    async fn transact(
        &self,
        expected: i64,
        next: i64,
        items: &[Item<H::Event>],
        refused: Option<&Poison>,
    ) -> Result<Applied<H::Effects>, TransactionError> {
        let (place, handler) = (self.place, self.handler);
        let events: Vec<&Traced<H::Event>> =
            items.iter().filter(|_| refused.is_none()).filter_map(|item| item.event.as_ref()).collect();
        faults::reached(Point::ConsumerBegins);
        let mut transaction = self.database.begin().await?;
        let work = async {
            if !self.fence(&mut transaction, expected, next).await? {
                return Ok(Applied::Fenced);
            }
            let (verdicts, effects) = if events.is_empty() {
                (Vec::new(), None)
            } else {
                let (verdicts, effects) = handler.apply(&mut transaction, &events).await?;
                (verdicts, Some(effects))
            };
            let now = OffsetDateTime::now_utc();
            let letters: Vec<_> = poisoned(items, &verdicts, refused)
                .map(|(record, reason, error)| dead_letter::of(record, place.group, reason, error, now))
                .collect();
            outbox::append(&mut transaction, &letters).await?;
            let is_old_news = letters.is_empty() && verdicts.iter().all(|verdict| *verdict == Verdict::Ignored);
            if is_old_news {
                positions::need_not_be_durable(&mut transaction).await?;
            }
            Ok(Applied::Verdicts(verdicts, effects))
        };
        match postgres::contained(work).await {
            Ok(applied) => {
                transaction.commit().await?;
                faults::reached(Point::ConsumerCommitted);
                if let Applied::Verdicts(verdicts, _) = &applied
                    && poisoned(items, verdicts, refused).next().is_some()
                {
                    faults::reached(Point::DeadLetterCommitted);
                }
                Ok(applied)
            }
            Err(error) => Err(transaction.roll_back(error).await),
        }
    }

    /// Moves the position from what is expected (T5). False: somebody else has moved it.
    async fn fence(&self, transaction: &mut Transaction, expected: i64, next: i64) -> Result<bool, sqlx::Error> {
        let place = self.place;
        if faults::makes(Mistake::OffsetBeforeEffect) {
            let early = Move { partition: place.partition, expected, next };
            let moved = positions::pass_over(self.database, place.group, place.topic, &[early]).await?;
            faults::reached(Point::HalfDone);
            return Ok(!moved.is_empty());
        }
        let expected = if faults::makes(Mistake::NoFence) { place.load(self.database, next).await? } else { expected };
        place.advance(transaction, expected, next).await
    }

    /// Ends the spans and counts what became of the records.
    fn close(&self, items: &[Item<H::Event>], verdicts: &[Verdict], refused: Option<&Poison>) {
        let given_up: Vec<(&Record, Reason, &str)> = poisoned(items, verdicts, refused).collect();
        for (record, reason, error) in &given_up {
            tracing::error!(
                messaging.destination.name = record.topic,
                messaging.destination.partition.id = record.partition,
                messaging.kafka.offset = record.offset,
                dlq.reason = reason.as_str(),
                error,
                "a record is given up and goes to the dead-letter topic"
            );
            metrics::counter!(
                names::DEAD_LETTERS,
                "messaging_destination_name" => self.place.topic.to_owned(),
                "reason" => reason.as_str(),
            )
            .increment(1);
        }
        let mut verdicts = verdicts.iter();
        for item in items {
            let verdict = item.event.as_ref().and_then(|_| verdicts.next());
            let letter = given_up.iter().find(|(record, _, _)| record.offset == item.record.offset);
            let outcome = match (letter, verdict) {
                (Some((_, _, error)), _) => {
                    spans::fail(&item.span, (*error).to_owned());
                    "dead_letter"
                }
                (None, Some(Verdict::Applied)) => "ok",
                (None, Some(Verdict::Ignored | Verdict::Impossible(_)) | None) => "ignored",
            };
            spans::end(&item.span);
            self.count(item.taken, outcome);
        }
    }

    fn count(&self, taken: Instant, outcome: &'static str) {
        metrics::counter!(
            names::MESSAGING_CONSUMED_MESSAGES,
            "messaging_destination_name" => self.place.topic.to_owned(),
            "messaging_consumer_group_name" => self.place.group.to_owned(),
        )
        .increment(u64::from(outcome != "retry"));
        metrics::histogram!(
            names::MESSAGING_PROCESS_DURATION,
            "messaging_destination_name" => self.place.topic.to_owned(),
            "outcome" => outcome,
        )
        .record(taken.elapsed().as_secs_f64());
    }

    /// Ends the spans of a try that failed: the next try has spans of its own.
    fn abandon(&self, items: Vec<Item<H::Event>>, failure: &TransactionError) -> Vec<Record> {
        let error = describe(failure);
        items
            .into_iter()
            .map(|item| {
                spans::fail(&item.span, error.clone());
                spans::end(&item.span);
                self.count(item.taken, "retry");
                item.record
            })
            .collect()
    }

    fn later(
        &self,
        next: i64,
        items: Vec<Item<H::Event>>,
        pieces: Vec<Vec<Record>>,
        failure: &TransactionError,
    ) -> Done {
        tracing::warn!(
            messaging.destination.name = self.place.topic,
            messaging.destination.partition.id = self.place.partition,
            error = describe(failure),
            "records wait for another try"
        );
        let mut left = self.abandon(items, failure);
        left.extend(pieces.into_iter().rev().flatten());
        Done { next, left, moved_by_another: false }
    }
}

/// Records from `position` on, each once; lower ones are known already and dropped (C1).
pub(super) fn due(position: i64, mut records: Vec<Record>) -> Vec<Record> {
    let mut lowest = position;
    records.retain(|record| {
        let is_new = record.offset >= lowest;
        lowest = lowest.max(record.offset + 1);
        is_new
    });
    records
}

/// The records that become dead letters, and why. Verdicts come in the order of the items that have an event.
fn poisoned<'a, E>(
    items: &'a [Item<E>],
    verdicts: &'a [Verdict],
    refused: Option<&'a Poison>,
) -> impl Iterator<Item = (&'a Record, Reason, &'a str)> {
    let mut verdicts = verdicts.iter();
    items.iter().filter_map(move |item| {
        let verdict = item.event.as_ref().and_then(|_| verdicts.next());
        match (item.poison.as_ref().or(refused), verdict) {
            (Some(poison), _) => Some((&item.record, poison.reason, poison.error.as_str())),
            (None, Some(Verdict::Impossible(why))) => Some((&item.record, Reason::ImpossibleTransition, why.as_str())),
            (None, Some(Verdict::Applied | Verdict::Ignored) | None) => None,
        }
    })
}

fn record_operation<E>(started: SystemTime, items: &[Item<E>], error: Option<&str>) {
    let ended = SystemTime::now();
    postgres::telemetry::operation(OPERATION, started, ended, error.is_none());
    for item in items.iter().filter(|item| item.event.is_some()) {
        spans::database(OPERATION, &item.span, started, ended, items.len(), error);
    }
}

fn describe(failure: &TransactionError) -> String {
    match failure {
        TransactionError::RolledBack(error) => error.to_string(),
        TransactionError::InDoubt(error) => format!("commit in doubt: {error}"),
    }
}
