use std::ops::Range;
use std::time::{Duration, Instant, SystemTime};

use runtime::faults::{self, Mistake, Point};
use tokio::sync::oneshot;

use super::worker::Worker;
use super::{Batch, Submission, WriteError};
use crate::queue::Taken;
use crate::sqlstate::Verdict;
use crate::transaction::contained;
use crate::{Transaction, TransactionError};

/// Tries of a command that keeps meeting deadlocks or locks that are not granted.
const ATTEMPTS: u32 = 8;
/// Tries of a batch with others: then it is split, so that one locked row does not hold up everyone.
const ATTEMPTS_TOGETHER: u32 = 2;
/// Pause before a try, growing with each.
const PAUSE: Duration = Duration::from_millis(5);
/// Longest pause between looks at a commit in doubt.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How late a mistake commits.
const LATE: Duration = Duration::from_millis(250);

type Reply<B> = oneshot::Sender<Result<<B as Batch>::Outcome, WriteError>>;

impl<B: Batch> Worker<B> {
    /// Writes the commands and answers every caller, whatever happens.
    pub(super) async fn see_through(&self, mut taken: Taken<'_, Submission<B>>) {
        let mut commands = Vec::with_capacity(taken.items.len());
        let mut contexts = Vec::with_capacity(taken.items.len());
        let mut replies = Vec::with_capacity(taken.items.len());
        for Submission { command, context, reply } in taken.items.drain(..) {
            commands.push(command);
            contexts.push(context);
            replies.push(reply);
        }
        // Halves that are still to be written, in order: one piece unless one command makes its batch fail.
        let mut pieces: Vec<Range<usize>> = std::iter::once(0..commands.len()).collect();
        while let Some(piece) = pieces.pop().filter(|piece| !piece.is_empty()) {
            let started = SystemTime::now();
            let result = self.settle(&commands[piece.clone()], &mut taken).await;
            self.record(started, &contexts[piece.clone()], result.as_ref().err());
            match result {
                Ok(outcomes) => {
                    faults::reached(Point::WriterCommitted);
                    self.batch.committed(&outcomes);
                    // From the front of what is left: pieces are taken in order.
                    for (reply, outcome) in replies.drain(..piece.len()).zip(outcomes) {
                        answer::<B>(reply, Ok(outcome));
                    }
                }
                Err(WriteError::Refused) if piece.len() > 1 => {
                    let middle = piece.start + piece.len() / 2;
                    pieces.push(middle..piece.end);
                    pieces.push(piece.start..middle);
                }
                Err(error) => {
                    for reply in replies.drain(..piece.len()) {
                        answer::<B>(reply, Err(error));
                    }
                }
            }
        }
    }

    /// Repeats the transaction until its fate is certain. `Refused`, for more than one command: to be tried by halves.
    async fn settle(
        &self,
        commands: &[B::Command],
        taken: &mut Taken<'_, Submission<B>>,
    ) -> Result<Vec<B::Outcome>, WriteError> {
        let attempts = if commands.len() > 1 { ATTEMPTS_TOGETHER } else { ATTEMPTS };
        let mut attempt = 0;
        let mut in_doubt = false;
        loop {
            attempt += 1;
            let failure = match self.attempt(commands).await {
                Ok(outcomes) => return Ok(outcomes),
                Err(failure) => failure,
            };
            // Locks that others hold, a connection that is gone: the rows of whoever comes next may be free.
            taken.let_others_pass();
            in_doubt |= matches!(failure, TransactionError::InDoubt(_));
            match failure.verdict() {
                // While an earlier try is in doubt there is no answer to give, so neither patience nor tries run out.
                None => log(B::OPERATION, &failure, "commit in doubt; submitting the same commands again"),
                Some(Verdict::Again) if in_doubt || attempt < attempts => {
                    log(B::OPERATION, &failure, "transaction failed; trying again");
                }
                Some(Verdict::Again) if commands.len() > 1 => return Err(WriteError::Refused),
                Some(Verdict::Away) if in_doubt => {
                    log(B::OPERATION, &failure, "database away with a commit in doubt; waiting for it");
                }
                Some(Verdict::Again | Verdict::Away) => {
                    log(B::OPERATION, &failure, "transaction given up");
                    return Err(WriteError::Unavailable);
                }
                Some(Verdict::Command | Verdict::Bug) => {
                    let error = source(&failure);
                    if commands.len() == 1 {
                        tracing::error!(db.operation.name = B::OPERATION, error, "the database refused a command");
                    }
                    return Err(WriteError::Refused);
                }
            }
            tokio::time::sleep((PAUSE * attempt * attempt).min(LONGEST_PAUSE)).await;
        }
    }

    async fn attempt(&self, commands: &[B::Command]) -> Result<Vec<B::Outcome>, TransactionError> {
        let mut transaction = self.database.begin().await?;
        match contained(self.batch.apply(&mut transaction, commands)).await {
            Ok(outcomes) => {
                assert_eq!(outcomes.len(), commands.len(), "a batch gives each command its outcome");
                if faults::makes(Mistake::ReplyBeforeCommit) {
                    tokio::spawn(commit_late(transaction));
                    return Ok(outcomes);
                }
                let committing = Instant::now();
                transaction.commit().await?;
                self.commit_duration.record(committing.elapsed().as_secs_f64());
                Ok(outcomes)
            }
            Err(error) => Err(transaction.roll_back(error).await),
        }
    }

    fn record(&self, started: SystemTime, contexts: &[opentelemetry::Context], error: Option<&WriteError>) {
        let ended = SystemTime::now();
        let error = error.map(ToString::to_string);
        crate::telemetry::operation(B::OPERATION, started, ended, error.is_none());
        for context in contexts {
            let size = contexts.len();
            observability::spans::database(B::OPERATION, context, started, ended, size, error.as_deref());
        }
    }
}

/// [`Mistake::ReplyBeforeCommit`]: by now somebody relies on it.
async fn commit_late(transaction: Transaction) {
    tokio::time::sleep(LATE).await;
    faults::reached(Point::HalfDone);
    drop(transaction.commit().await);
}

fn answer<B: Batch>(reply: Reply<B>, result: Result<B::Outcome, WriteError>) {
    // The caller may be gone: what was written stays written, and it can ask again.
    drop(reply.send(result));
}

fn log(operation: &'static str, failure: &TransactionError, what: &'static str) {
    tracing::warn!(db.operation.name = operation, error = source(failure), "{what}");
}

fn source(failure: &TransactionError) -> String {
    match failure {
        TransactionError::RolledBack(error) | TransactionError::InDoubt(error) => error.to_string(),
    }
}
