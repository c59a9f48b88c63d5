//! SIGTERM and SIGINT: the first one asks the process to drain, the second one ends it at once.

use std::fmt::{Display, Formatter};
use std::future::Future;
use std::io;

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

/// A signal that asks the process to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StopSignal {
    /// SIGINT: Ctrl-C on a terminal.
    Interrupt,
    /// SIGTERM: a container engine, an init system.
    Terminate,
}

impl StopSignal {
    /// The exit code that shells give a process that died of this signal: 128 and the signal's number.
    #[must_use]
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Interrupt => 130,
            Self::Terminate => 143,
        }
    }
}

impl Display for StopSignal {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "SIGINT",
            Self::Terminate => "SIGTERM",
        })
    }
}

/// Takes the two signals over and hands out a future that resolves with the first of them. The handlers stand when this
/// returns, so that no signal is lost before the future is polled; from then on the process does not die of either by
/// itself. The second signal exits with 130 or 143 whatever the rest of the process is doing, so an operator is never
/// kept waiting for a drain.
///
/// # Errors
/// When the handlers can't be installed.
///
/// # Panics
/// Outside a Tokio runtime.
pub fn stop_requested() -> io::Result<impl Future<Output = StopSignal> + Send + 'static> {
    let mut interrupts = signal(SignalKind::interrupt())?;
    let mut terminations = signal(SignalKind::terminate())?;
    let (first, first_seen) = oneshot::channel();
    // Not in a task group: it has to outlive all of them, and ends with the process.
    tokio::spawn(async move {
        let mut next = async || {
            tokio::select! {
                _ = interrupts.recv() => StopSignal::Interrupt,
                _ = terminations.recv() => StopSignal::Terminate,
            }
        };
        if let Err(unread) = first.send(next().await) {
            tracing::debug!(signal = %unread, "nobody waits for the first signal");
        }
        let second = next().await;
        eprintln!("{second} while draining: exiting at once");
        std::process::exit(second.exit_code());
    });
    Ok(async move { first_seen.await.expect("the task sends before it does anything else that could end it") })
}
