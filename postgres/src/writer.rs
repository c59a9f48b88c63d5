//! The writer: commands of many callers, one transaction.
//!
//! A caller submits a command and waits for its outcome. The writer's tasks (one per write connection) take what is
//! waiting, up to the batch bound and without a timer, and run it as one transaction. While one batch commits, the next
//! gathers: the busier, the larger the batches.
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

use std::sync::Arc;

use futures::future::BoxFuture;
use opentelemetry::Context;
use runtime::tasks::TaskGroup;
use tokio::sync::{mpsc, oneshot};

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
    submissions: mpsc::Sender<Submission<B>>,
}

impl<B: Batch> Clone for Writer<B> {
    fn clone(&self) -> Self {
        Self { submissions: self.submissions.clone() }
    }
}

/// A command on its way: with the context of the request that it belongs to, and where its outcome goes.
#[derive(Debug)]
struct Submission<B: Batch> {
    command: B::Command,
    context: Context,
    reply: oneshot::Sender<Result<B::Outcome, WriteError>>,
}

impl<B: Batch> Writer<B> {
    /// Starts one task for each write connection of `database`. They end when `tasks` is stopped and what they had taken
    /// is committed.
    #[must_use]
    pub fn start(batch: Arc<B>, database: &Database, tasks: &TaskGroup) -> Self {
        let (submissions, waiting) = mpsc::channel(database.settings().write_queue);
        let waiting = Arc::new(tokio::sync::Mutex::new(waiting));
        for _ in 0..database.settings().write_connections {
            let worker = worker::Worker::new(Arc::clone(&batch), database.clone(), Arc::clone(&waiting));
            tasks.spawn("writer", worker.run(tasks.stop_token()));
        }
        Self { submissions }
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
        self.submissions.try_send(submission).map_err(|refused| match refused {
            mpsc::error::TrySendError::Full(_) => WriteError::Overloaded,
            mpsc::error::TrySendError::Closed(_) => WriteError::Stopping,
        })?;
        answer.await.unwrap_or(Err(WriteError::Stopping))
    }
}
