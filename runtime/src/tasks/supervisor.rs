//! Knows every running task of the process, the first one that failed, and those that had to be abandoned.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{Display, Formatter};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::watch;
use tokio::task::AbortHandle;

/// Watches over the tasks of all groups. Clones share it.
#[derive(Clone, Debug, Default)]
pub struct Supervisor {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    failure: watch::Sender<Option<TaskFailure>>,
    register: Mutex<Register>,
}

#[derive(Debug, Default)]
struct Register {
    /// Groups and tasks are numbered, because names may be used again. Tasks are kept in the order of their start.
    last_number: u64,
    running: BTreeMap<u64, RunningTask>,
    abandoned: Vec<String>,
}

#[derive(Debug)]
struct RunningTask {
    group: u64,
    name: TaskName,
    abort: AbortHandle,
}

/// A task that ended by error or panic while it was needed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("task {task} failed: {problem}")]
pub struct TaskFailure {
    /// `group/task`.
    pub task: String,
    /// The error's text, or the panic's.
    pub problem: String,
}

impl Supervisor {
    /// With no task yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Resolves with the first failure of the process; at once when it has happened. Later failures are logged only.
    pub async fn failed(&self) -> TaskFailure {
        let mut failure = self.shared.failure.subscribe();
        let seen = failure.wait_for(Option::is_some).await.expect("the sender lives as long as the supervisor");
        seen.clone().expect("waited until there is one")
    }

    /// The first failure, if there was one.
    #[must_use]
    pub fn failure(&self) -> Option<TaskFailure> {
        self.shared.failure.borrow().clone()
    }

    /// The names, `group/task`, of what is running now, oldest first: what a drain that takes too long is waiting for.
    #[must_use]
    pub fn running(&self) -> Vec<String> {
        self.register().running.values().map(|task| task.name.to_string()).collect()
    }

    /// The names, `group/task`, of the tasks that did not end in their group's time. None after an orderly shutdown.
    #[must_use]
    pub fn abandoned(&self) -> Vec<String> {
        self.register().abandoned.clone()
    }

    pub(super) fn record_failure(&self, name: &TaskName, problem: String) {
        let failure = TaskFailure { task: name.to_string(), problem };
        self.shared.failure.send_if_modified(|first| {
            let is_first = first.is_none();
            first.get_or_insert(failure);
            is_first
        });
    }

    pub(super) fn number_for_group(&self) -> u64 {
        self.register().next_number()
    }

    /// Lists a task as running until the entry is dropped.
    pub(super) fn enter(&self, group: u64, name: TaskName, abort: AbortHandle) -> Entry {
        let mut register = self.register();
        let number = register.next_number();
        register.running.insert(number, RunningTask { group, name, abort });
        Entry { supervisor: self.clone(), number }
    }

    /// Aborts what is left of a group and returns the names.
    pub(super) fn abandon(&self, group: u64) -> Vec<String> {
        let mut register = self.register();
        let left = register.running.values().filter(|task| task.group == group);
        let names: Vec<String> = left.inspect(|task| task.abort.abort()).map(|task| task.name.to_string()).collect();
        register.abandoned.extend(names.iter().cloned());
        names
    }

    /// Each change is a single insert, remove or extend, so the register is whole even if a holder of the lock
    /// panicked.
    fn register(&self) -> MutexGuard<'_, Register> {
        self.shared.register.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Register {
    fn next_number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// Keeps a task listed while it runs.
#[derive(Debug)]
pub(super) struct Entry {
    supervisor: Supervisor,
    number: u64,
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.supervisor.register().running.remove(&self.number);
    }
}

/// `group/task`.
#[derive(Clone, Debug)]
pub(super) struct TaskName {
    pub(super) group: &'static str,
    pub(super) task: Cow<'static, str>,
}

impl Display for TaskName {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.group, self.task)
    }
}
