use std::convert::Infallible;
use std::sync::Arc;

use metrics::Histogram;
use observability::names;

use super::{Batch, Submission};
use crate::Database;
use crate::queue::Queue;

/// Takes what is waiting and sees it through, again and again.
pub(super) struct Worker<B: Batch> {
    pub(super) batch: Arc<B>,
    pub(super) database: Database,
    pub(super) commit_duration: Histogram,
    queue: Arc<Queue<Submission<B>>>,
    batch_size: Histogram,
}

impl<B: Batch> Worker<B> {
    pub(super) fn new(batch: Arc<B>, database: Database, queue: Arc<Queue<Submission<B>>>) -> Self {
        let batch_size = metrics::histogram!(names::WRITER_BATCH_COMMANDS, "db_operation_name" => B::OPERATION);
        let commit_duration = metrics::histogram!(names::WRITER_COMMIT_DURATION, "db_operation_name" => B::OPERATION);
        Self { batch, database, commit_duration, queue, batch_size }
    }

    /// Until the queue is closed and empty: nobody may be left waiting for an answer.
    pub(super) async fn run(self) -> Result<(), Infallible> {
        while let Some(taken) = self.queue.take().await {
            if !taken.items.is_empty() {
                self.batch_size.record(u32::try_from(taken.items.len()).map_or(f64::INFINITY, f64::from));
                self.see_through(taken).await;
            }
        }
        Ok(())
    }
}

impl<B: Batch> Drop for Worker<B> {
    fn drop(&mut self) {
        self.queue.abandon();
    }
}
