//! How long a call may take: from the caller's `grpc-timeout`, to the handler, to the next hop.
//!
//! Every unary call has a deadline, [`DEFAULT`] if its caller sets none (O1), and none farther away than [`LONGEST`]: it
//! holds a place among all calls meanwhile, even if its message never comes. A stream has one only if its caller sets it:
//! watching an order may take days.

mod header;
mod limit;
mod server;

use std::time::Duration;

use http::Extensions;
use tokio::time::Instant;
use tonic::Request;

pub(crate) use header::{read, write};
pub(crate) use limit::{LimitedBody, Scope, limit};
pub(crate) use server::DeadlineLayer;

/// The deadline of a unary call whose caller sets none.
pub const DEFAULT: Duration = Duration::from_secs(5);

/// The farthest deadline of a unary call, whatever its caller sets.
pub const LONGEST: Duration = Duration::from_mins(1);

/// No deadline is farther away: an instant that far is still representable.
const FARTHEST: Duration = Duration::from_hours(24 * 365);

/// The moment by which a call has to be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(Instant);

impl Deadline {
    /// That long from now.
    pub fn after(time: Duration) -> Self {
        Self(Instant::now() + time.min(FARTHEST))
    }

    /// The deadline of a request. On a stream without one, and in a test that calls a handler directly, it is
    /// [`DEFAULT`] from now: right for a single message of a stream.
    pub fn of<T>(request: &Request<T>) -> Self {
        Self::of_stream(request).unwrap_or_else(|| Self::after(DEFAULT))
    }

    /// The deadline of a stream as a whole, if its caller set one.
    pub fn of_stream<T>(request: &Request<T>) -> Option<Self> {
        request.extensions().get().copied()
    }

    /// What is left; zero when it has passed.
    pub fn remaining(self) -> Duration {
        self.0.saturating_duration_since(Instant::now())
    }

    /// The deadline that leaves `margin` for what comes after.
    #[must_use]
    pub fn less(self, margin: Duration) -> Self {
        Self(self.0.checked_sub(margin).unwrap_or(self.0))
    }

    /// The earlier of two.
    #[must_use]
    pub fn or_earlier(self, other: Self) -> Self {
        Self(self.0.min(other.0))
    }

    /// The moment itself.
    pub fn instant(self) -> Instant {
        self.0
    }

    /// Gives a call to another service what is left, as `grpc-timeout`.
    pub fn apply_to<T>(self, request: &mut Request<T>) {
        request.set_timeout(self.remaining());
    }

    pub(crate) fn store(self, extensions: &mut Extensions) {
        extensions.insert(self);
    }
}
