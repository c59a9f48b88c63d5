//! Ctrl-C and its relatives.

use anyhow::Context as _;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// SIGINT, SIGTERM and SIGHUP, which all mean: stop.
pub(super) struct Interrupts([Signal; 3]);

impl Interrupts {
    /// Takes the signals over.
    ///
    /// # Errors
    /// The system refuses.
    pub(super) fn install() -> anyhow::Result<Self> {
        let take = |kind| signal(kind).context("signals can't be received");
        Ok(Self([take(SignalKind::interrupt())?, take(SignalKind::terminate())?, take(SignalKind::hangup())?]))
    }

    /// Waits for the next one. Cancel-safe.
    pub(super) async fn next(&mut self) {
        let Self([interrupt, terminate, hangup]) = self;
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
            _ = hangup.recv() => {}
        }
    }
}
