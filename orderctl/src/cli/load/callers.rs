//! The callers, and the clock that they go by.

use std::io::{IsTerminal as _, Write as _};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

use super::report::Tally;
use super::workload::{Caller, Means, Workload};

/// Between two lines of progress.
const PROGRESS: Duration = Duration::from_secs(1);
const TALLIES: usize = 8;

/// How many call, how fast and how long.
#[derive(Debug, Clone, Copy)]
pub(super) struct Pace {
    pub(super) callers: u32,
    pub(super) rate: Option<u32>,
    pub(super) duration: Duration,
}

/// What the callers share.
#[derive(Debug)]
struct Clock {
    start: Instant,
    end: Instant,
    rate: Option<u32>,
    taken: AtomicU64,
    done: AtomicU64,
}

impl Clock {
    /// When the next call is to be sent; `None` when the time is over, also for calls that no caller was free for until then.
    fn next(&self) -> Option<Instant> {
        let ticket = self.taken.fetch_add(1, Ordering::Relaxed);
        let due = match self.rate {
            Some(rate) => self.start + Duration::from_secs(1).mul_f64(ticket_position(ticket, rate)),
            None => Instant::now(),
        };
        (due.max(Instant::now()) < self.end).then_some(due)
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 calls")]
fn ticket_position(ticket: u64, rate: u32) -> f64 {
    ticket as f64 / f64::from(rate)
}

/// Runs the workload and returns what was counted, and how long it took until the last answer.
pub(super) async fn run(workload: &Workload, means: &[Means], pace: Pace, progress: bool) -> (Tally, Duration) {
    let start = Instant::now();
    let (taken, done) = (AtomicU64::new(0), AtomicU64::new(0));
    let clock = Arc::new(Clock { start, end: start + pace.duration, rate: pace.rate, taken, done });
    // Shared, because a thousand histograms take a second to make; several, so that callers seldom meet.
    let tallies: Arc<[Mutex<Tally>]> = (0..TALLIES).map(|_| Mutex::new(Tally::new())).collect();
    let mut callers = JoinSet::new();
    for ((place, number), means) in (0..u64::from(pace.callers)).enumerate().zip(means.iter().cycle()) {
        let caller = workload.caller(number + 1, means.clone());
        callers.spawn(work(caller, Arc::clone(&clock), Arc::clone(&tallies), place % TALLIES));
    }
    let mut tally = Tally::new();
    let mut ticks = tokio::time::interval(PROGRESS);
    let mut before = 0;
    loop {
        tokio::select! {
            joined = callers.join_next() => match joined {
                Some(Ok(())) => {}
                // A caller that panicked has printed why; what was counted still holds.
                Some(Err(_)) => tally.count_lost_caller(),
                None => break,
            },
            _ = ticks.tick(), if progress => {
                let done = clock.done.load(Ordering::Relaxed);
                show(start.elapsed(), done, done - before);
                before = done;
            }
        }
    }
    if progress && std::io::stderr().is_terminal() {
        eprintln!();
    }
    let took = start.elapsed();
    tallies.iter().for_each(|some| tally.add(&lock(some)));
    (tally, took)
}

async fn work(mut caller: Caller, clock: Arc<Clock>, tallies: Arc<[Mutex<Tally>]>, shard: usize) {
    while let Some(due) = clock.next() {
        sleep_until(due).await;
        let outcome = caller.call().await;
        lock(&tallies[shard]).count(outcome, due.elapsed());
        clock.done.fetch_add(1, Ordering::Relaxed);
        if let Err(failure) = caller.follow_up().await {
            lock(&tallies[shard]).count_failure(failure);
        }
    }
}

fn lock(tally: &Mutex<Tally>) -> MutexGuard<'_, Tally> {
    tally.lock().unwrap_or_else(PoisonError::into_inner)
}

/// One line that is written over on a terminal; a log gets none, it has the result.
fn show(elapsed: Duration, done: u64, last_second: u64) {
    let mut terminal = std::io::stderr();
    if terminal.is_terminal() && !elapsed.is_zero() {
        let line = format!("\r{:>4} s  {done} done, {last_second}/s ", elapsed.as_secs());
        // Progress that can't be shown is no reason to stop.
        drop(terminal.write_all(line.as_bytes()));
    }
}
