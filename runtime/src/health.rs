//! Whether the service can do its work, from what its components say.
//!
//! Two kinds of component: one that is [`Impact::Required`] (the database, its migrations) takes the service out of
//! rotation while it is down; one that only [`Impact::Degrades`] (Kafka, a peer) is shown in `/readyz` and changes
//! nothing else, because orders are still taken without it.
//!
//! A component reports as often as it likes: only a change between up and down is logged. A service for which no
//! required component was registered yet is not serving, so that nothing is sent to it before it knows what it needs.

mod report;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use tokio::sync::watch;

pub use report::{ComponentReport, Report, Standing, Status};

/// What a component that is down means for the service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Impact {
    /// The service can't do its work without it.
    Required,
    /// The service goes on with less.
    Degrades,
}

/// What load balancers and `grpc.health.v1` are told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Serving {
    /// Send calls.
    Serving,
    /// Send none: starting, draining, or a required component is down.
    NotServing,
}

/// The health of this process. Clones share it.
#[derive(Clone, Debug)]
pub struct Health {
    shared: Arc<Shared>,
}

/// One component's handle on [`Health`]. Clones speak for the same component.
#[derive(Clone, Debug)]
pub struct Component {
    shared: Arc<Shared>,
    index: usize,
}

#[derive(Debug)]
struct Shared {
    state: Mutex<State>,
    serving: watch::Sender<Serving>,
}

#[derive(Debug, Default)]
struct State {
    draining: bool,
    components: Vec<ComponentState>,
}

#[derive(Debug)]
struct ComponentState {
    name: &'static str,
    impact: Impact,
    condition: Condition,
    since: SystemTime,
}

#[derive(Debug)]
enum Condition {
    /// Has not reported yet; counts as down.
    Starting,
    Up,
    Down {
        reason: String,
    },
}

impl Health {
    /// Without components, therefore not serving.
    #[must_use]
    pub fn new() -> Self {
        let serving = watch::Sender::new(Serving::NotServing);
        Self { shared: Arc::new(Shared { state: Mutex::default(), serving }) }
    }

    /// Registers a component; it is down ("starting") until it says otherwise. Register every required one before the
    /// first of them may come up.
    #[must_use]
    pub fn component(&self, name: &'static str, impact: Impact) -> Component {
        let mut state = self.shared.lock();
        let (condition, since) = (Condition::Starting, SystemTime::now());
        state.components.push(ComponentState { name, impact, condition, since });
        self.shared.publish(&state);
        Component { shared: Arc::clone(&self.shared), index: state.components.len() - 1 }
    }

    /// From here on the service is not serving, whatever its components say. There is no way back.
    pub fn start_draining(&self) {
        let mut state = self.shared.lock();
        state.draining = true;
        self.shared.publish(&state);
    }

    /// Whether it will not serve again.
    #[must_use]
    pub fn is_draining(&self) -> bool {
        self.shared.lock().draining
    }

    /// Follows the answer for load balancers; it changes only when the answer does.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Serving> {
        self.shared.serving.subscribe()
    }

    /// Everything, for `/readyz`.
    #[must_use]
    pub fn report(&self) -> Report {
        report::of(&self.shared.lock())
    }
}

impl Default for Health {
    fn default() -> Self {
        Self::new()
    }
}

impl Component {
    /// It works.
    pub fn up(&self) {
        let mut state = self.shared.lock();
        let component = &mut state.components[self.index];
        if matches!(component.condition, Condition::Up) {
            return;
        }
        tracing::info!(component = component.name, "component is up");
        component.condition = Condition::Up;
        component.since = SystemTime::now();
        self.shared.publish(&state);
    }

    /// It does not work. `reason` is for operators: what is away, without secrets. A new reason for what is down
    /// already is shown and not logged.
    pub fn down(&self, reason: impl Into<String>) {
        let reason = reason.into();
        let mut state = self.shared.lock();
        let component = &mut state.components[self.index];
        match &mut component.condition {
            Condition::Down { reason: known } => *known = reason,
            Condition::Starting | Condition::Up => {
                tracing::warn!(component = component.name, reason, "component is down");
                component.condition = Condition::Down { reason };
                component.since = SystemTime::now();
                self.shared.publish(&state);
            }
        }
    }
}

impl Shared {
    /// Every change is a single assignment, so the state is whole even if a holder of the lock panicked.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Called with the lock held, so that answers are published in the order in which they became true.
    fn publish(&self, state: &State) {
        let now = state.serving();
        self.serving.send_if_modified(|published| std::mem::replace(published, now) != now);
    }
}

impl State {
    fn serving(&self) -> Serving {
        let mut required = self.components.iter().filter(|component| component.impact == Impact::Required).peekable();
        let able = required.peek().is_some() && required.all(|component| matches!(component.condition, Condition::Up));
        if able && !self.draining { Serving::Serving } else { Serving::NotServing }
    }
}

#[cfg(test)]
mod tests;
