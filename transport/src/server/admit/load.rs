//! How many unary calls are worked on at once: as many as are done in the time that an operator finds acceptable.
//!
//! Beyond what a server can carry, more calls at once mean longer calls and not more of them. By Little's law the number
//! of calls inside is their rate times their time; at its peak the rate is given, so the number that takes the wanted
//! time is the present one times wanted over measured. That one step is the whole rule; it is taken for each window.
//!
//! The wanted time is a setting and not a multiple of the time of an idle server, as in algorithms that follow a
//! gradient: with group commit the time grows with the number of calls long before the rate is at its peak. A server
//! whose batches take `a + b·n` gives half of its peak rate at twice its idle time.
//!
//! Pure: the time is an argument, nothing here waits.

use std::time::Duration;

use tokio::time::Instant;

/// A limit holds at least this long, so that it is judged by more than chance.
const WINDOW: Duration = Duration::from_millis(100);
/// And for so many calls.
const WINDOW_CALLS: u32 = 10;
/// One window leaves a quarter of the limit at least: a stall of the disk must not close the door.
const STEEPEST_CUT: f64 = 0.25;
/// One window adds a quarter at most: tenfold within 1.1 s.
const STEEPEST_RISE: f64 = 1.25;
/// A call counts as this many times the wanted time at most, so that one that hangs does not speak for all.
const LONGEST: f64 = 4.0;
/// The limit at first. It need not be right, it is after a few windows; a low one would refuse callers that have come back
/// after a restart.
const AT_FIRST: f64 = 1_000.0;
/// A limit of which less was used says nothing about what a higher one would bring.
const USED: f64 = 0.8;
/// The part that calls which begin work leave to those that end it (O5).
const OPEN_TO_ALL: f64 = 0.9;
/// When to come back if hardly anything is refused; longer in proportion to what is.
const RETRY_AFTER: Duration = Duration::from_millis(100);
const LATEST_RETRY: Duration = Duration::from_secs(5);

/// Bounds of the limit, and the time to keep.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LoadSettings {
    /// The limit never falls below.
    pub(crate) min: usize,
    /// The limit never rises above.
    pub(crate) max: usize,
    /// How long calls may take.
    pub(crate) wanted: Duration,
}

/// What a call does for the work that is under way.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Urgency {
    /// Begins work, or only reads.
    Begins,
    /// Ends work that was begun, and so relieves the platform.
    Ends,
}

/// Why a call is no longer inside.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Left {
    Answered,
    /// By its caller; it would have taken longer.
    Abandoned,
}

/// Too many calls are inside; the time after which to come back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Full(pub(super) Duration);

#[derive(Debug)]
pub(super) struct Load {
    settings: LoadSettings,
    limit: f64,
    inside: usize,
    window: Window,
    /// Calls that began earlier were slowed by a higher limit than the present one.
    last_cut: Option<Instant>,
    /// How many times as many calls came in the last window as were let in.
    pressure: f64,
}

#[derive(Debug)]
struct Window {
    began: Instant,
    calls: u32,
    /// Sum of the calls' times, in multiples of the wanted one, and of their squares.
    time: f64,
    squares: f64,
    most_inside: usize,
    admitted: u32,
    refused: u32,
}

impl Load {
    pub(super) fn new(settings: LoadSettings, now: Instant) -> Self {
        let limit = AT_FIRST.clamp(settings.min as f64, settings.max as f64);
        Self { settings, limit, inside: 0, window: Window::new(now), last_cut: None, pressure: 1.0 }
    }

    /// The number of calls that may be inside now.
    pub(super) fn limit(&self) -> usize {
        self.limit as usize
    }

    #[cfg(test)]
    pub(super) fn inside(&self) -> usize {
        self.inside
    }

    /// Lets a call in or refuses it at once: a queue would only add its time to every call.
    pub(super) fn enter(&mut self, urgency: Urgency) -> Result<(), Full> {
        let room = match urgency {
            Urgency::Begins => self.limit * OPEN_TO_ALL,
            Urgency::Ends => self.limit,
        };
        if self.inside as f64 >= room.floor().max(1.0) {
            self.window.refused += 1;
            return Err(Full(RETRY_AFTER.mul_f64(self.pressure).min(LATEST_RETRY)));
        }
        self.inside += 1;
        self.window.admitted += 1;
        self.window.most_inside = self.window.most_inside.max(self.inside);
        Ok(())
    }

    /// Takes a call that entered at `began` out, and sets the limit anew once enough calls were seen.
    pub(super) fn leave(&mut self, began: Instant, now: Instant, left: Left) {
        self.inside -= 1;
        let time = now.saturating_duration_since(began).as_secs_f64() / self.settings.wanted.as_secs_f64();
        let is_news = self.last_cut.is_none_or(|cut| began >= cut);
        if is_news && (left == Left::Answered || time > 1.0) {
            self.window.add(time.min(LONGEST));
        }
        if self.window.calls >= WINDOW_CALLS && now.saturating_duration_since(self.window.began) >= WINDOW {
            self.adapt(now);
        }
    }

    fn adapt(&mut self, now: Instant) {
        let window = std::mem::replace(&mut self.window, Window::new(now));
        self.window.most_inside = self.inside;
        self.pressure = window.pressure();
        let step = (1.0 / window.typical_time()).clamp(STEEPEST_CUT, STEEPEST_RISE);
        let most_inside = window.most_inside as f64;
        let was_used = window.refused > 0 || most_inside >= USED * self.limit;
        let limit = if step < 1.0 {
            // What was not used has not slowed anything.
            most_inside.min(self.limit) * step
        } else if was_used {
            self.limit * step
        } else {
            self.limit
        };
        let limit = limit.clamp(self.settings.min as f64, self.settings.max as f64);
        if limit < self.limit {
            self.last_cut = Some(now);
        }
        self.limit = limit;
    }
}

impl Window {
    fn new(began: Instant) -> Self {
        Self { began, calls: 0, time: 0.0, squares: 0.0, most_inside: 0, admitted: 0, refused: 0 }
    }

    fn add(&mut self, time: f64) {
        self.calls += 1;
        self.time += time;
        self.squares += time * time;
    }

    /// The mean, each call weighing as much as the room that it takes: many quick reads do not hide that writes are slow.
    fn typical_time(&self) -> f64 {
        if self.time > 0.0 { self.squares / self.time } else { 0.0 }
    }

    fn pressure(&self) -> f64 {
        f64::from(self.admitted + self.refused) / f64::from(self.admitted.max(1))
    }
}

#[cfg(test)]
mod tests;
