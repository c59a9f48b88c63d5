//! Waiting for something that another program does.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// Short enough that a start is not slower than its server, long enough to leave the machine to the server.
pub(crate) const POLL: Duration = Duration::from_millis(25);

/// A point in time after which waiting is given up.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Patience {
    end: Instant,
    limit: Duration,
}

impl Patience {
    pub(crate) fn of(limit: Duration) -> Self {
        Self { end: Instant::now() + limit, limit }
    }

    /// Sleeps for one poll.
    ///
    /// # Errors
    /// The time is up; `what` says what did not happen.
    pub(crate) async fn poll(self, what: impl FnOnce() -> String) -> Result<()> {
        if Instant::now() >= self.end {
            bail!("{} within {} s", what(), self.limit.as_secs());
        }
        tokio::time::sleep(POLL).await;
        Ok(())
    }
}
