use std::convert::Infallible;
use std::sync::Arc;

use tokio::sync::{Mutex, mpsc};
use tokio_util::sync::CancellationToken;

use super::{Batch, Submission};
use crate::Database;

/// Takes what is waiting and sees it through, again and again.
pub(super) struct Worker<B: Batch> {
    pub(super) batch: Arc<B>,
    pub(super) database: Database,
    waiting: Arc<Mutex<mpsc::Receiver<Submission<B>>>>,
}

impl<B: Batch> Worker<B> {
    pub(super) fn new(batch: Arc<B>, database: Database, waiting: Arc<Mutex<mpsc::Receiver<Submission<B>>>>) -> Self {
        Self { batch, database, waiting }
    }

    pub(super) async fn run(self, stop: CancellationToken) -> Result<(), Infallible> {
        let bound = self.database.settings().write_batch;
        let mut taken = Vec::with_capacity(bound);
        loop {
            // The lock is held while waiting, so that one worker gathers while the others commit.
            let mut waiting = self.waiting.lock().await;
            let count = tokio::select! {
                biased;
                count = waiting.recv_many(&mut taken, bound) => count,
                () = stop.cancelled() => {
                    // Nobody may be left waiting for an answer: refuse the new, commit what was accepted.
                    waiting.close();
                    waiting.recv_many(&mut taken, bound).await
                }
            };
            drop(waiting);
            if count == 0 {
                return Ok(());
            }
            // A caller that went away before its command was taken gets nothing written.
            taken.retain(|submission| !submission.reply.is_closed());
            self.see_through(std::mem::take(&mut taken)).await;
        }
    }
}
