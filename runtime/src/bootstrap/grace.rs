//! How `SHUTDOWN_GRACE` is divided, so that the last steps have time left whatever the first ones do.

use std::time::Duration;

use tokio::time::Instant;

/// What the steps after the service's own drain get at most.
const LONGEST_CLOSING: Duration = Duration::from_secs(2);

/// The time that is left for stopping.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grace {
    ends: Instant,
    closing: Duration,
}

impl Grace {
    /// The clock starts now. A tenth of it, at most 2 s, is kept for closing: the admin listener, what was given up,
    /// the last spans.
    pub(super) fn starting_now(whole: Duration) -> Self {
        Self { ends: Instant::now() + whole, closing: (whole / 10).min(LONGEST_CLOSING) }
    }

    /// What the service may use.
    pub(super) fn for_drain(self) -> Duration {
        self.left().saturating_sub(self.closing)
    }

    /// When a service that does not keep to [`for_drain`](Self::for_drain) is given up: a little later, because one
    /// that uses its time up is in order.
    pub(super) fn until_given_up(self) -> Duration {
        self.left().saturating_sub(self.closing * 3 / 4)
    }

    /// What is left altogether.
    pub(super) fn left(self) -> Duration {
        self.ends.saturating_duration_since(Instant::now())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn closing_has_its_share_however_long_the_drain_takes() {
        let seconds = Duration::from_secs;
        let grace = Grace::starting_now(seconds(20));
        assert_eq!(
            (grace.for_drain(), grace.until_given_up(), grace.left()),
            (seconds(18), seconds(37) / 2, seconds(20))
        );

        tokio::time::advance(seconds(19)).await;
        assert_eq!((grace.for_drain(), grace.until_given_up(), grace.left()), (seconds(0), seconds(0), seconds(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn short_grace_goes_to_the_drain_for_the_most_part() {
        let grace = Grace::starting_now(Duration::from_millis(500));
        assert_eq!(grace.for_drain(), Duration::from_millis(450));
    }
}
