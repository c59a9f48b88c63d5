//! The JSON of `/readyz`.

use std::time::SystemTime;

use serde::Serialize;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::{ComponentState, Condition, Impact, Serving, State};

/// The health of the process at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// The answer in one word.
    pub status: Status,
    /// The process was told to stop.
    pub draining: bool,
    /// In the order in which they were registered.
    pub components: Vec<ComponentReport>,
}

/// The answer in one word.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Everything is up.
    Serving,
    /// Serving, while something that it can do without is down.
    Degraded,
    /// Starting, draining, or something that it needs is down.
    NotServing,
}

/// One component at one moment.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ComponentReport {
    /// As registered.
    pub name: &'static str,
    /// Up or down.
    pub status: Standing,
    /// What its being down means.
    pub impact: Impact,
    /// Why it is down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// When it went up or down, RFC 3339 in UTC.
    pub since: String,
}

/// Up or down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Standing {
    /// It works.
    Up,
    /// It does not.
    Down,
}

pub(super) fn of(state: &State) -> Report {
    let components: Vec<ComponentReport> = state.components.iter().map(component).collect();
    let something_is_down = components.iter().any(|component| component.status == Standing::Down);
    let status = match state.serving() {
        Serving::NotServing => Status::NotServing,
        Serving::Serving if something_is_down => Status::Degraded,
        Serving::Serving => Status::Serving,
    };
    Report { status, draining: state.draining, components }
}

fn component(component: &ComponentState) -> ComponentReport {
    let (status, reason) = match &component.condition {
        Condition::Up => (Standing::Up, None),
        Condition::Starting => (Standing::Down, Some("starting".to_owned())),
        Condition::Down { reason } => (Standing::Down, Some(reason.clone())),
    };
    let since = rfc_3339(component.since);
    ComponentReport { name: component.name, status, impact: component.impact, reason, since }
}

fn rfc_3339(moment: SystemTime) -> String {
    let moment = OffsetDateTime::from(moment);
    let milliseconds = moment.replace_millisecond(moment.millisecond()).expect("a time's own milliseconds are valid");
    milliseconds.format(&Rfc3339).expect("a clock's time has a year of four digits")
}
