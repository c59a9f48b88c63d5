//! News of committed changes: for the metrics, and for those who watch an order.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use observability::names;
use proto::values::OrderId;
use tokio::sync::Notify;

use crate::domain::ledger::{Outcome, Transition};
use crate::domain::order::{Order, Status};
use crate::store::Written;

/// Who watches which order on this replica. What other replicas commit is found by looking (O3).
#[derive(Debug, Default)]
pub struct News {
    watched: Mutex<HashMap<OrderId, Watched>>,
}

#[derive(Debug, Default)]
struct Watched {
    changed: Arc<Notify>,
    watchers: usize,
}

/// A watcher's place; it ends when dropped.
#[derive(Debug)]
pub struct Subscription {
    news: Arc<News>,
    order_id: OrderId,
    changed: Arc<Notify>,
}

impl News {
    /// Begins to watch an order.
    #[must_use]
    pub fn subscribe(self: &Arc<Self>, order_id: OrderId) -> Subscription {
        let mut watched = self.lock();
        let entry = watched.entry(order_id).or_default();
        entry.watchers += 1;
        Subscription { news: Arc::clone(self), order_id, changed: Arc::clone(&entry.changed) }
    }

    /// Counts and announces what was committed.
    pub fn announce(&self, written: &[Written]) {
        for Written { outcome, .. } in written {
            if let Outcome::Order { order, transition: Some(transition), .. } = outcome {
                count(order, *transition);
                if let Some(watched) = self.lock().get(&order.order_id) {
                    watched.changed.notify_waiters();
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<OrderId, Watched>> {
        // Each use is one map operation: a panic elsewhere leaves it whole.
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscription {
    /// A future that is ready at the next change after this call.
    pub fn changed(&self) -> impl Future<Output = ()> + Send + use<> {
        Arc::clone(&self.changed).notified_owned()
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        let mut watched = self.news.lock();
        if let Some(entry) = watched.get_mut(&self.order_id) {
            entry.watchers -= 1;
            if entry.watchers == 0 {
                watched.remove(&self.order_id);
            }
        }
    }
}

fn count(order: &Order, transition: Transition) {
    let from = transition.from.map_or("none", Status::label);
    metrics::counter!(names::ORDERS_TRANSITIONS, "from" => from, "to" => transition.to.label()).increment(1);
    if transition.from == Some(Status::Pending) {
        let waited = (order.update_time() - order.create_time).as_seconds_f64();
        metrics::histogram!(names::ORDER_COMPLETION, "outcome" => transition.to.label()).record(waited.max(0.0));
    }
}
