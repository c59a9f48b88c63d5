//! Tasks that stop together.

use std::any::Any;
use std::borrow::Cow;
use std::fmt::Display;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinError;
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;

use super::supervisor::{Supervisor, TaskName};

/// Tasks that share a stop token and are joined together. Clones are the same group. When the last clone is dropped
/// without [`stop`](Self::stop), the token is cancelled, so that nothing runs on for nobody; for that to work, a task
/// must not hold a clone of its own group for longer than it needs.
#[derive(Clone, Debug)]
pub struct TaskGroup {
    name: &'static str,
    number: u64,
    supervisor: Supervisor,
    stop: CancellationToken,
    monitors: TaskTracker,
    _cancels_when_last_clone_drops: Arc<DropGuard>,
}

impl TaskGroup {
    /// An empty group. `name` is the first half of its tasks' names.
    #[must_use]
    pub fn new(name: &'static str, supervisor: &Supervisor) -> Self {
        let stop = CancellationToken::new();
        Self {
            name,
            number: supervisor.number_for_group(),
            supervisor: supervisor.clone(),
            monitors: TaskTracker::new(),
            _cancels_when_last_clone_drops: Arc::new(stop.clone().drop_guard()),
            stop,
        }
    }

    /// Starts a task. Ending with `Ok` is fine at any time. Ending by an error or a panic makes the process drain and
    /// exit with 1, unless the group is stopping; either is logged once, here.
    ///
    /// Meant for tasks that live long: each has a second small task that waits for it.
    ///
    /// # Panics
    /// Outside a Tokio runtime.
    pub fn spawn<F, E>(&self, name: impl Into<Cow<'static, str>>, future: F)
    where
        F: Future<Output = Result<(), E>> + Send + 'static,
        E: Display + Send + 'static,
    {
        let name = TaskName { group: self.name, task: name.into() };
        let task = tokio::spawn(future);
        let entry = self.supervisor.enter(self.number, name.clone(), task.abort_handle());
        let supervisor = self.supervisor.clone();
        let stop = self.stop.clone();
        self.monitors.spawn(async move {
            if let Some(problem) = problem_of(task.await) {
                if stop.is_cancelled() {
                    tracing::warn!(task = %name, error = problem, "task failed while stopping");
                } else {
                    tracing::error!(task = %name, error = problem, "task failed");
                    supervisor.record_failure(&name, problem);
                }
            }
            drop(entry);
        });
    }

    /// Cancelled when the group is to stop; every task of the group watches it.
    #[must_use]
    pub fn stop_token(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Cancels the token and waits until all tasks have ended. Those that have not after `limit` are logged by name,
    /// aborted and no longer waited for; [`Supervisor::abandoned`] remembers them.
    pub async fn stop(&self, limit: Duration) {
        self.stop.cancel();
        self.monitors.close();
        if tokio::time::timeout(limit, self.monitors.wait()).await.is_err() {
            let tasks = self.supervisor.abandon(self.number);
            if !tasks.is_empty() {
                let limit_ms = u64::try_from(limit.as_millis()).unwrap_or(u64::MAX);
                tracing::error!(tasks = tasks.join(", "), limit_ms, "tasks did not end in time");
            }
        }
    }
}

/// The text of an error or a panic. An aborted task has no problem of its own: whoever aborted it has said so.
fn problem_of<E: Display>(outcome: Result<Result<(), E>, JoinError>) -> Option<String> {
    match outcome {
        Ok(Ok(())) => None,
        // The alternate form is the one in which errors that carry their causes show them.
        Ok(Err(error)) => Some(format!("{error:#}")),
        Err(join_error) => join_error.try_into_panic().ok().map(|panic| format!("panicked: {}", panic_text(&*panic))),
    }
}

/// What `panic!` was given, when it was a text.
fn panic_text(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("(no text)")
}
