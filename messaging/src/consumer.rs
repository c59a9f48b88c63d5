//! The consumer: reads a topic for a service, and commits effects and position together.
//!
//! One thread polls, groups what came by partition and runs one transaction for each partition: its first statement moves
//! the stored position from the expected value (T5), then the handler's effects, then the dead letters. If the position is
//! not what was expected, another consumer has taken over: the transaction is rolled back and the stored position read
//! again. Kafka's own offsets are committed afterwards, for lag tools; nothing here reads them.
//!
//! Most records are old news: the call that the event tells of comes first, and what does not is left to it for a moment
//! ([`Standing`]). Where all records are, as far as this process knows by itself, there is no transaction: one statement
//! moves the positions of all such partitions, fenced as ever.
//!
//! The thread is the partition's only worker, so a rebalance (which librdkafka reports inside `poll`) finds no transaction
//! in flight. While Postgres is away, the partitions concerned are paused and the thread goes on polling, so that the
//! consumer keeps its membership. Only a new assignment waits for Postgres inside `poll`: without the stored position
//! there is nothing to begin with. A consumer that was thrown out for that, or that stands still although there is
//! something to read, is built anew.

mod assignment;
mod partition_batch;
mod poll_loop;
mod positions;

use futures::future::BoxFuture;
use observability::propagation::TraceHeaders;
use postgres::{Database, Transaction};
use runtime::tasks::TaskGroup;
use tokio_util::sync::CancellationToken;

use self::poll_loop::PollLoop;
use crate::dead_letter::Reason;
use crate::record::Record;
use crate::{KafkaSettings, topics};

/// Applies events: one verdict each, in their order, and what was done.
pub type Applying<'t, Effects> = BoxFuture<'t, Result<(Vec<Verdict>, Effects), sqlx::Error>>;

/// What a service does with the events of a topic.
pub trait Handler: Send + Sync + 'static {
    /// A decoded event.
    type Event: Send + Sync + 'static;
    /// What a batch of events did, for [`Handler::committed`].
    type Effects: Send + 'static;

    /// Decodes a record. `None`: known, and of no concern to this service.
    ///
    /// # Errors
    /// [`Poison`]: no consumer of this version can ever process the record.
    fn decode(&self, record: &Record) -> Result<Option<Self::Event>, Poison>;

    /// What this process knows of the event without asking the database. Asked before anything else, and again while the
    /// record waits, so it must be quick. [`Standing::News`] is always right.
    fn standing(&self, event: &Self::Event) -> Standing;

    /// Applies the events of one partition in their order, in the transaction that moves the position past them. Returns
    /// one verdict each, in the same order, and what was done. Redelivery must change nothing (I5).
    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        events: &'t [&'t Traced<Self::Event>],
    ) -> Applying<'t, Self::Effects>;

    /// Called after a commit, to count what was done and to wake whoever waits for news. `None`: there may be news, but
    /// what they are is not known here (a commit that seemed in doubt, or only dead letters).
    fn committed(&self, effects: Option<Self::Effects>);
}

/// An event with the context of the `process` span that handles it: what it causes carries that context on.
#[derive(Clone, Debug)]
pub struct Traced<E> {
    /// The event.
    pub event: E,
    /// Context for outbox rows that it causes.
    pub trace: TraceHeaders,
}

/// A record that can't be processed, ever.
#[derive(Clone, Debug)]
pub struct Poison {
    /// Why, from the closed list.
    pub reason: Reason,
    /// What went wrong, for people.
    pub error: String,
}

/// What is known of an event before it is applied.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It changes nothing, now or later: this process has committed what it tells of
    /// ([`Recent`](crate::recent::Recent)). [`Handler::apply`] would ignore it.
    OldNews,
    /// A call that is under way will probably do what the event asks for. The event is left to it for a moment, because
    /// the two would do the same work twice, and wait for each other's locks.
    Expected,
    /// It is to be applied.
    News,
}

/// What became of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It changed something.
    Applied,
    /// It was known already, or does not matter any more.
    Ignored,
    /// It can't have happened to what this service knows; the text says why, for people.
    Impossible(String),
}

/// Spawns the consumer of `topic` in `group`. It begins once `schema_ready` says that there are tables.
pub fn start<H: Handler>(
    settings: KafkaSettings,
    topic: &'static str,
    group: &'static str,
    handler: H,
    database: Database,
    schema_ready: CancellationToken,
    tasks: &TaskGroup,
) {
    let stop = tasks.stop_token();
    tasks.spawn("consumer", async move {
        tokio::select! {
            () = schema_ready.cancelled() => {}
            () = stop.cancelled() => return Ok(()),
        }
        while let Err(problem) = topics::ensure(&settings).await {
            tracing::warn!(error = %problem, "the consumer waits for kafka");
            tokio::select! {
                () = stop.cancelled() => return Ok(()),
                () = tokio::time::sleep(std::time::Duration::from_secs(1)) => {}
            }
        }
        // librdkafka's calls block, and a rebalance is served inside them: a thread of its own.
        let runtime = tokio::runtime::Handle::current();
        let work = PollLoop { settings, topic, group, handler, database, stop, runtime };
        tokio::task::spawn_blocking(move || work.run_until_stopped()).await
    });
}
