//! The sweep (O4): takes orders further that stay unfinished for long, whatever was lost.
//!
//! Events complete and settle orders within moments; the sweep is for what fell through: an event that went to the dead
//! letters, a topic that was deleted, a database restored from a backup. It runs on the replica whose relay leads, takes a
//! few orders at a time, the longest waiting first, and holds no lock over a call. What it does is what a caller would do
//! again, so that two of them at once, or one that dies half-way, do no harm.

use std::convert::Infallible;
use std::time::Duration;

use futures::StreamExt as _;
use observability::spans;
use opentelemetry::context::FutureExt as _;
use postgres::Database;
use proto::values::OrderId;
use runtime::tasks::TaskGroup;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use transport::deadline::Deadline;

use crate::store::{StoredOrder, unfinished};
use crate::use_cases::Orders;

/// Between two looks at the work list.
const INTERVAL: Duration = Duration::from_secs(1);
/// Orders taken at a look.
const BATCH: i64 = 64;
/// Orders that are driven at the same time.
const AT_ONCE: usize = 8;
/// What one order may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The sweep of one replica.
#[derive(Debug)]
pub struct Sweep {
    /// The work list's database.
    pub database: Database,
    /// What takes an order further.
    pub orders: Orders,
    /// First pause after an attempt.
    pub pause: Duration,
    /// Whether this replica is the one.
    pub leading: watch::Receiver<bool>,
}

impl Sweep {
    /// Spawns the sweep's task.
    pub fn start(mut self, tasks: &TaskGroup) {
        let stop = tasks.stop_token();
        tasks.spawn("sweep", async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return Ok::<(), Infallible>(()),
                    () = tokio::time::sleep(INTERVAL) => {}
                }
                if *self.leading.borrow_and_update() {
                    self.look(&stop).await;
                }
            }
        });
    }

    async fn look(&self, stop: &CancellationToken) {
        let due = match unfinished::take_due(&self.database, BATCH, self.pause).await {
            Ok(due) => due,
            Err(error) => {
                tracing::debug!(%error, "the sweep's work list can't be read");
                return;
            }
        };
        let drives = futures::stream::iter(due).map(|order_id| self.drive(order_id)).buffer_unordered(AT_ONCE);
        drives.take_until(stop.cancelled()).for_each(|()| async {}).await;
    }

    async fn drive(&self, order_id: OrderId) {
        let found = self.orders.stored(order_id).await;
        let Ok(Some(unfinished)) = found else {
            tracing::warn!(order.id = %order_id, "an unfinished order can't be read");
            return;
        };
        let StoredOrder { order, placement } = &unfinished;
        // A trace of its own: the placement's may be hours old.
        let span = spans::internal("sweep order", std::slice::from_ref(placement));
        spans::set_order(&span, &order_id.to_string());
        let status = order.status.label();
        let driven = self.orders.drive(unfinished, Deadline::after(PATIENCE)).with_context(span.clone()).await;
        match driven {
            Ok(()) => tracing::info!(order.id = %order_id, status, "an unfinished order was taken further"),
            Err(problem) => {
                spans::fail(&span, problem.clone());
                tracing::warn!(order.id = %order_id, status, problem, "an unfinished order waits for another attempt");
            }
        }
        spans::end(&span);
    }
}
