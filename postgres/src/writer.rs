//! The writer: commands of many callers, one transaction.
//!
//! A caller submits a command and waits for its outcome. The writer's tasks (one per write connection) take what is
//! waiting, up to the batch bound and without a timer, and run it as one transaction. While one batch commits,
//! the next gathers: the busier, the larger the batches. What ends work that was begun goes before what begins new work.
//!
//! What happens when it goes wrong (rules T4, T6, T7 of the protocol):
//!
//! | the transaction … | the commands … |
//! |---|---|
//! | met a deadlock or a lock that was not granted | are tried again, together, then by halves, then alone a few times |
//! | found the database away, before COMMIT | are answered [`WriteError::Unavailable`]: certainly not written |
//! | lost its connection while committing | are submitted again unchanged, until the database says what became of them |
//! | failed by one command's own data | are tried by halves; the one at fault is answered [`WriteError::Refused`] |
//!
//! A caller that goes away (deadline, cancellation) takes nothing along: its command is written or not, whole. A command
//! whose caller went away before the writer took it is not written.

mod attempt;
mod worker;

use std::convert::Infallible;
use std::sync::Arc;

use futures::future::BoxFuture;
use observability::names;
use opentelemetry::Context;
use runtime::tasks::TaskGroup;
use tokio::sync::oneshot;

use self::worker::Worker;
use crate::queue::{Limits, Queue, Refused, Waiting};
use crate::{Database, Transaction};

/// What a service's commands do in a transaction.
pub trait Batch: Send + Sync + 'static {
    /// Name of the operation, for metrics and spans; from a closed list.
    const OPERATION: &'static str;
    /// What a caller wants. Applying the same command again must lead to the same state as once, and tell the same of it
    /// (T4).
    type Command: Send + Sync + 'static;
    /// What became of it. A refusal by the rules of the business is an outcome, not an error.
    type Outcome: Send + Sync + 'static;

    /// Whether the command ends work that was begun, and so goes before those that begin new work: overload is then met by
    /// refusing the new, not by leaving everything half done (O5).
    fn goes_first(command: &Self::Command) -> bool;

    /// Applies `commands` in their order and returns one outcome each, in the same order.
    fn apply<'t>(
        &'t self,
        transaction: &'t mut Transaction,
        commands: &'t [Self::Command],
    ) -> BoxFuture<'t, Result<Vec<Self::Outcome>, sqlx::Error>>;

    /// Called after the commit and before the callers are answered: wakes whoever waits for news.
    fn committed(&self, outcomes: &[Self::Outcome]);
}

/// Why a command has no outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    /// Too many commands are waiting. Certainly not written.
    #[error("too many commands are waiting to be written")]
    Overloaded,
    /// The database is away. Certainly not written.
    #[error("the database is away")]
    Unavailable,
    /// The database refuses this command's data, or there is a bug; logged. Certainly not written.
    #[error("the database refused the command")]
    Refused,
    /// The writer is stopping. Not written, unless the process was given up in the middle of a commit.
    #[error("the writer is stopping")]
    Stopping,
}

/// Hands commands to the writer's tasks. Cheap to clone.
#[derive(Debug)]
pub struct Writer<B: Batch> {
    queue: Arc<Queue<Submission<B>>>,
}

impl<B: Batch> Clone for Writer<B> {
    fn clone(&self) -> Self {
        Self { queue: Arc::clone(&self.queue) }
    }
}

/// A command on its way: with the context of the request that it belongs to, and where its outcome goes.
#[derive(Debug)]
struct Submission<B: Batch> {
    command: B::Command,
    context: Context,
    reply: oneshot::Sender<Result<B::Outcome, WriteError>>,
}

impl<B: Batch> Waiting for Submission<B> {
    fn is_abandoned(&self) -> bool {
        self.reply.is_closed()
    }
}

impl<B: Batch> Writer<B> {
    /// Starts one task for each write connection of `database`. They end when `tasks` is stopped and what they had taken
    /// is committed.
    #[must_use]
    pub fn start(batch: Arc<B>, database: &Database, tasks: &TaskGroup) -> Self {
        let settings = database.settings();
        let limits = Limits {
            capacity: settings.write_queue,
            batch: settings.write_batch,
            // A second connection is for commits that overlap on the disk, not for sharing out what one could take.
            overlap: settings.write_batch.div_ceil(2),
        };
        let depth = metrics::gauge!(names::WRITER_QUEUE_COMMANDS, "db_operation_name" => B::OPERATION);
        let queue = Arc::new(Queue::new(limits, depth));
        for _ in 0..settings.write_connections {
            tasks.spawn("writer", Worker::new(Arc::clone(&batch), database.clone(), Arc::clone(&queue)).run());
        }
        let (closing, stop) = (Arc::clone(&queue), tasks.stop_token());
        tasks.spawn("writer-stop", async move {
            stop.cancelled().await;
            closing.close();
            Ok::<(), Infallible>(())
        });
        Self { queue }
    }

    /// Submits a command and waits for its outcome, in the current trace context.
    ///
    /// Cancel-safe in this sense: dropped before the writer took the command, it is not written; afterwards it is, and
    /// its outcome is thrown away.
    ///
    /// # Errors
    /// [`WriteError`]: in every case the command was certainly not written.
    pub async fn submit(&self, command: B::Command) -> Result<B::Outcome, WriteError> {
        let (reply, answer) = oneshot::channel();
        let submission = Submission { command, context: Context::current(), reply };
        let goes_first = B::goes_first(&submission.command);
        self.queue.put(submission, goes_first).map_err(|refused| match refused {
            Refused::Full => WriteError::Overloaded,
            Refused::Closed => WriteError::Stopping,
        })?;
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }
}
