//! Waiting for what takes time.

use std::time::{Duration, Instant};

use anyhow::Result;

const POLL: Duration = Duration::from_millis(25);

/// Looks again and again until `attempt` succeeds, and returns what it gave.
///
/// # Panics
/// With the error of the last attempt, when that is not within `limit`.
pub async fn eventually<T>(limit: Duration, attempt: impl AsyncFnMut() -> Result<T>) -> T {
    within(limit, attempt).await.unwrap_or_else(|error| panic!("{error:#}"))
}

/// The same, for whoever has more to say about it.
///
/// # Errors
/// That of the last attempt, when none succeeds within `limit`.
pub async fn within<T>(limit: Duration, mut attempt: impl AsyncFnMut() -> Result<T>) -> Result<T> {
    let begun = Instant::now();
    loop {
        let error = match attempt().await {
            Ok(value) => return Ok(value),
            Err(error) => error,
        };
        if begun.elapsed() >= limit {
            return Err(error.context(format!("not within {limit:?}")));
        }
        tokio::time::sleep(POLL).await;
    }
}

/// `limit` in seconds, for [`eventually`].
#[must_use]
pub const fn seconds(limit: u64) -> Duration {
    Duration::from_secs(limit)
}
