//! Lines that repeat themselves are left out beyond a number: a failure of every request must not make a log of millions
//! of lines, of which each costs what a request costs.
//!
//! What repeats is told by the place in the code, not by its words. Lines below info are never left out: whoever asks for
//! them wants them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tracing::callsite::Identifier;
use tracing::{Event, Level, Metadata, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::layer::Context;

use crate::names;

/// Lines from one place in [`WINDOW`].
const LINES: u32 = 50;
const WINDOW: Duration = Duration::from_secs(10);

/// What was written lately, by place. Places are as many as the code has; clones share it.
#[derive(Clone, Debug, Default)]
pub(super) struct Repeats(Arc<Mutex<HashMap<Identifier, Place>>>);

#[derive(Debug)]
struct Place {
    window_began: Instant,
    lines: u32,
    left_out: u64,
}

impl Repeats {
    /// How many lines from this place were left out since it was last asked; whoever writes the next one says so.
    pub(super) fn left_out(&self, metadata: &Metadata<'_>) -> u64 {
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        places.get_mut(&metadata.callsite()).map_or(0, |place| std::mem::take(&mut place.left_out))
    }

    fn admits(&self, metadata: &Metadata<'_>, now: Instant) -> bool {
        if *metadata.level() > Level::INFO {
            return true;
        }
        let mut places = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = Place { window_began: now, lines: 0, left_out: 0 };
        places.entry(metadata.callsite()).or_insert(fresh).admits(now)
    }
}

impl Place {
    fn admits(&mut self, now: Instant) -> bool {
        if now.saturating_duration_since(self.window_began) >= WINDOW {
            (self.window_began, self.lines) = (now, 0);
        }
        if self.lines < LINES {
            self.lines += 1;
            return true;
        }
        self.left_out += 1;
        false
    }
}

impl<S: Subscriber> Layer<S> for Repeats {
    fn event_enabled(&self, event: &Event<'_>, _context: Context<'_, S>) -> bool {
        let admitted = self.admits(event.metadata(), Instant::now());
        if !admitted {
            metrics::counter!(names::LOG_LINES_LEFT_OUT).increment(1);
        }
        admitted
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn so_many_lines_in_a_window_and_the_rest_is_counted() {
        let begin = Instant::now();
        let mut place = Place { window_began: begin, lines: 0, left_out: 0 };
        let mut admitted_at = |now: Instant| (0..120).filter(|_| place.admits(now)).count();
        assert_eq!(admitted_at(begin), 50);
        assert_eq!(admitted_at(begin + WINDOW / 2), 0);
        assert_eq!(admitted_at(begin + WINDOW), 50);
        assert_eq!(place.left_out, 70 + 120 + 70);
    }
}
