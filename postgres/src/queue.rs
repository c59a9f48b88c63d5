//! What waits for the database, and how much of it is taken at once: the queue of the [writer](crate::writer) and of
//! [lookups](crate::lookup).

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use metrics::Gauge;
use tokio::sync::Notify;

/// Something that somebody waits for.
pub(crate) trait Waiting: Send {
    /// Nobody does any more.
    fn is_abandoned(&self) -> bool;
}

/// A bounded queue in two lines, taken from in batches by several workers.
///
/// Nobody waits for a timer: an idle worker takes what comes as soon as it comes. But while one batch is under way,
/// another one begins only when enough is waiting. Otherwise the workers would share out the load in many small batches,
/// each with the same statements to send, plan and answer; held back, one waits at most for the batch that is under way,
/// and the busier it gets the larger the batches are.
pub(crate) struct Queue<T> {
    state: Mutex<State<T>>,
    changed: Notify,
    limits: Limits,
    depth: Gauge,
}

/// How much a [`Queue`] holds and gives.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Limits {
    /// That may wait in each line.
    pub(crate) capacity: usize,
    /// That is taken at once.
    pub(crate) batch: usize,
    /// That must be waiting for a batch to begin while another one is under way.
    pub(crate) overlap: usize,
}

/// Why something can't wait here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    /// Too many are waiting.
    Full,
    /// The queue is closed.
    Closed,
}

struct State<T> {
    first: VecDeque<T>,
    others: VecDeque<T>,
    under_way: usize,
    closed: bool,
}

/// A batch that one worker has taken. Dropped when it is over.
pub(crate) struct Taken<'a, T: Waiting> {
    queue: &'a Queue<T>,
    /// What comes waits for it.
    holds_up: bool,
    /// In the order in which it came, those of the first line in front. May be empty, if nobody waited for it any more.
    pub(crate) items: Vec<T>,
}

impl<T: Waiting> Queue<T> {
    pub(crate) fn new(limits: Limits, depth: Gauge) -> Self {
        let state = State { first: VecDeque::new(), others: VecDeque::new(), under_way: 0, closed: false };
        Self { state: Mutex::new(state), changed: Notify::new(), limits, depth }
    }

    /// Adds an item; one that `goes_first` is taken before all that do not.
    pub(crate) fn put(&self, item: T, goes_first: bool) -> Result<(), Refused> {
        let mut state = self.lock();
        if state.closed {
            return Err(Refused::Closed);
        }
        let line = if goes_first { &mut state.first } else { &mut state.others };
        if line.len() >= self.limits.capacity {
            return Err(Refused::Full);
        }
        line.push_back(item);
        let may_be_taken = self.may_be_taken(&state);
        drop(state);
        self.depth.increment(1.0);
        if may_be_taken {
            self.changed.notify_one();
        }
        Ok(())
    }

    /// Takes what is waiting, once it may be taken; `None` when the queue is closed and empty.
    pub(crate) async fn take(&self) -> Option<Taken<'_, T>> {
        loop {
            let changed = self.changed.notified();
            {
                let mut state = self.lock();
                if self.may_be_taken(&state) {
                    let items = self.drain(&mut state);
                    state.under_way += 1;
                    if self.may_be_taken(&state) {
                        self.changed.notify_one();
                    }
                    return Some(Taken { queue: self, holds_up: true, items });
                }
                if state.closed && state.waiting() == 0 {
                    // The others, too, wait for nothing any more.
                    self.changed.notify_one();
                    return None;
                }
            }
            changed.await;
        }
    }

    /// Refuses what comes from now on; what is waiting is still to be taken.
    pub(crate) fn close(&self) {
        self.lock().closed = true;
        self.changed.notify_one();
    }

    /// Lets go of what is waiting: a worker has ended, in order or given up, and nobody comes back for it.
    pub(crate) fn abandon(&self) {
        let mut state = self.lock();
        state.closed = true;
        state.first.clear();
        state.others.clear();
    }

    fn may_be_taken(&self, state: &State<T>) -> bool {
        let waiting = state.waiting();
        waiting > 0 && (state.under_way == 0 || waiting >= self.limits.overlap)
    }

    fn drain(&self, state: &mut State<T>) -> Vec<T> {
        let count = state.waiting().min(self.limits.batch);
        let mut taken = Vec::with_capacity(count);
        let from_first = state.first.len().min(count);
        taken.extend(state.first.drain(..from_first));
        taken.extend(state.others.drain(..count - from_first));
        self.depth.decrement(u32::try_from(count).map_or(0.0, f64::from));
        // Whoever went away before it was taken gets nothing done.
        taken.retain(|item| !item.is_abandoned());
        taken
    }

    fn lock(&self) -> MutexGuard<'_, State<T>> {
        // Each use leaves it whole: a panic elsewhere does no harm.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T> State<T> {
    fn waiting(&self) -> usize {
        self.first.len() + self.others.len()
    }
}

impl<T: Waiting> Taken<'_, T> {
    /// What comes does not wait for this batch any more: it does not get on, and an idle worker may.
    pub(crate) fn let_others_pass(&mut self) {
        if !std::mem::take(&mut self.holds_up) {
            return;
        }
        let mut state = self.queue.lock();
        state.under_way -= 1;
        if self.queue.may_be_taken(&state) {
            self.queue.changed.notify_one();
        }
    }
}

impl<T: Waiting> Drop for Taken<'_, T> {
    fn drop(&mut self) {
        self.let_others_pass();
    }
}

impl<T> fmt::Debug for Queue<T> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("limits", &self.limits).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use metrics::Gauge;

    use super::{Limits, Queue, Refused, Waiting};

    #[derive(Debug, PartialEq, Eq)]
    enum Item {
        Wanted(u32),
        Abandoned,
    }

    impl Waiting for Item {
        fn is_abandoned(&self) -> bool {
            *self == Self::Abandoned
        }
    }

    fn queue() -> Queue<Item> {
        Queue::new(Limits { capacity: 6, batch: 4, overlap: 2 }, Gauge::noop())
    }

    fn put(queue: &Queue<Item>, numbers: impl IntoIterator<Item = u32>) {
        for number in numbers {
            queue.put(Item::Wanted(number), false).unwrap();
        }
    }

    #[test]
    fn an_idle_worker_takes_at_once_and_a_batch_under_way_holds_back_a_small_one() {
        let queue = queue();
        assert!(queue.take().now_or_never().is_none());
        put(&queue, [1]);
        let first = queue.take().now_or_never().flatten().expect("nothing is under way");
        put(&queue, [2]);
        assert!(queue.take().now_or_never().is_none(), "one waits for the batch that is under way");
        put(&queue, [3]);
        let second = queue.take().now_or_never().flatten().expect("two are worth a batch of their own");
        assert_eq!(second.items, [Item::Wanted(2), Item::Wanted(3)]);
        put(&queue, [4]);
        drop((first, second));
        assert!(queue.take().now_or_never().flatten().is_some());
    }

    #[test]
    fn a_batch_that_does_not_get_on_holds_back_nothing() {
        let queue = queue();
        put(&queue, [1]);
        let mut stuck = queue.take().now_or_never().flatten().expect("nothing is under way");
        put(&queue, [2]);
        stuck.let_others_pass();
        stuck.let_others_pass();
        let second = queue.take().now_or_never().flatten().expect("nothing that gets on is under way");
        put(&queue, [3]);
        drop(stuck);
        assert!(queue.take().now_or_never().is_none(), "the second one still holds back");
        drop(second);
        assert!(queue.take().now_or_never().flatten().is_some());
    }

    #[test]
    fn what_goes_first_is_taken_first_and_each_line_has_its_bound() {
        let queue = queue();
        put(&queue, 1..=6);
        assert_eq!(queue.put(Item::Wanted(7), false), Err(Refused::Full));
        queue.put(Item::Wanted(10), true).expect("new work does not keep out what ends old work");
        let taken = queue.take().now_or_never().flatten().expect("there is something");
        assert_eq!(taken.items, [10, 1, 2, 3].map(Item::Wanted));
    }

    #[test]
    fn what_nobody_waits_for_is_left_out() {
        let queue = queue();
        queue.put(Item::Abandoned, false).unwrap();
        put(&queue, [1]);
        let taken = queue.take().now_or_never().flatten().expect("there is something");
        assert_eq!(taken.items, [Item::Wanted(1)]);
    }

    #[test]
    fn a_closed_queue_gives_what_it_has_and_then_ends() {
        let queue = queue();
        put(&queue, 1..=5);
        queue.close();
        assert_eq!(queue.put(Item::Wanted(9), true), Err(Refused::Closed));
        for expected in [4, 1] {
            let taken = queue.take().now_or_never().flatten().expect("there is something");
            assert_eq!(taken.items.len(), expected);
        }
        assert!(queue.take().now_or_never().expect("it does not wait").is_none());
    }
}
