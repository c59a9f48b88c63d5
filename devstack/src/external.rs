//! What can't be done to a server that is not ours.

use anyhow::{Result, bail};

/// The answer to a request to kill or restart a server that was named by the environment.
pub(crate) fn refuse<T>(part: &str) -> Result<T> {
    bail!("{part} runs elsewhere and is not ours to stop or start")
}
