//! What the tests of all servers share.

use std::time::{Duration, Instant};

use devstack::StackOptions;
use tempfile::TempDir;

/// Options with data in a new folder that lives as long as the second value.
pub(crate) fn options() -> (StackOptions, TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let options =
        StackOptions::new(folder.path()).on_progress(|progress| eprintln!("{}: {}", progress.part, progress.message));
    (options, folder)
}

/// Polls `attempt` until it gives a value; panics with `what` after 30 s.
pub(crate) async fn eventually<T>(what: &str, mut attempt: impl AsyncFnMut() -> Option<T>) -> T {
    let end = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = attempt().await {
            return value;
        }
        assert!(Instant::now() < end, "did not happen within 30 s: {what}");
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
}
