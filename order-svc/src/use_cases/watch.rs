use std::collections::VecDeque;
use std::time::Duration;

use futures::Stream;
use postgres::LookupError;
use proto::values::OrderId;

use super::Orders;
use crate::domain::order::Order;
use crate::news::Subscription;

/// Longest time between two looks: what another replica commits is seen by then (O3).
const INTERVAL: Duration = Duration::from_secs(1);

/// One version of a watched order.
pub type WatchedOrder = Result<Order, LookupError>;

/// What a stream of versions remembers.
struct Watch {
    orders: Orders,
    order_id: OrderId,
    subscription: Subscription,
    seen: u16,
    unsent: VecDeque<Order>,
    ended: bool,
}

impl Orders {
    /// The order as it is now if that is later than `after_version`, then each later version once and in order; ends after
    /// a final one. `None` when there is no such order.
    ///
    /// Nothing is kept for a reader that does not read: the next version is looked for when it asks.
    ///
    /// # Errors
    /// [`LookupError`], at the beginning; later they are items of the stream, which ends with them.
    pub async fn watch(
        &self,
        order_id: OrderId,
        after_version: u64,
    ) -> Result<Option<impl Stream<Item = WatchedOrder> + Send + use<>>, LookupError> {
        // Before the first look: what is committed in between is announced.
        let subscription = self.news.subscribe(order_id);
        let Some(order) = self.get(order_id).await? else { return Ok(None) };
        let mut watch = Watch {
            orders: self.clone(),
            order_id,
            subscription,
            seen: u16::try_from(after_version).unwrap_or(u16::MAX),
            unsent: VecDeque::new(),
            ended: false,
        };
        if after_version == 0 {
            // As it is now; what it was before is history.
            watch.seen = order.version - 1;
        }
        watch.take_in(&order);
        Ok(Some(futures::stream::unfold(watch, Watch::next)))
    }
}

impl Watch {
    async fn next(mut self) -> Option<(WatchedOrder, Self)> {
        loop {
            if let Some(order) = self.unsent.pop_front() {
                return Some((Ok(order), self));
            }
            if self.ended {
                return None;
            }
            let changed = self.subscription.changed();
            match self.orders.get(self.order_id).await {
                Ok(Some(order)) => self.take_in(&order),
                Ok(None) => return None,
                Err(error) => {
                    self.ended = true;
                    return Some((Err(error), self));
                }
            }
            if self.unsent.is_empty() && !self.ended {
                let woken = tokio::time::timeout(INTERVAL, changed);
                // Woken or not: the next look tells.
                drop(woken.await);
            }
        }
    }

    /// Queues the versions that were not sent yet, rebuilt from the row (O3).
    fn take_in(&mut self, order: &Order) {
        let unsent = (self.seen.saturating_add(1)..=order.version).filter_map(|version| order.at_version(version));
        self.unsent.extend(unsent);
        self.seen = self.seen.max(order.version);
        self.ended = order.status.is_final();
    }
}
