use std::io;
use std::sync::{Arc, Mutex};

use serde_json::json;
use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::*;

#[test]
fn service_is_not_serving_before_it_knows_what_it_needs() {
    let health = Health::new();
    assert_eq!(*health.watch().borrow(), Serving::NotServing);
    health.component("kafka", Impact::Degrades).up();
    assert_eq!(health.report().status, Status::NotServing);
}

#[test]
fn service_is_serving_while_everything_required_is_up() {
    let health = Health::new();
    let serving = health.watch();
    let database = health.component("database", Impact::Required);
    let migrations = health.component("migrations", Impact::Required);

    database.up();
    assert_eq!(*serving.borrow(), Serving::NotServing);
    migrations.up();
    assert_eq!(*serving.borrow(), Serving::Serving);
    database.down("connection refused");
    assert_eq!(*serving.borrow(), Serving::NotServing);
    database.up();
    assert_eq!(*serving.borrow(), Serving::Serving);
}

#[test]
fn component_that_only_degrades_leaves_the_service_serving() {
    let health = Health::new();
    health.component("database", Impact::Required).up();
    let mut serving = health.watch();
    serving.mark_unchanged();
    let kafka = health.component("kafka", Impact::Degrades);

    kafka.down("no broker");
    assert_eq!(health.report().status, Status::Degraded);
    kafka.up();
    assert_eq!(health.report().status, Status::Serving);
    assert!(!serving.has_changed().unwrap(), "load balancers must not be woken");
}

#[test]
fn draining_service_is_not_serving_whatever_its_components_say() {
    let health = Health::new();
    let database = health.component("database", Impact::Required);
    database.up();
    health.start_draining();
    assert_eq!(*health.watch().borrow(), Serving::NotServing);
    database.down("connection refused");
    database.up();
    let report = health.report();
    assert_eq!((report.status, report.draining), (Status::NotServing, true));
}

#[test]
fn report_tells_operators_what_is_down_and_why() {
    let health = Health::new();
    health.component("database", Impact::Required).up();
    health.component("kafka", Impact::Degrades).down("no broker");
    let _starting = health.component("inventory", Impact::Degrades);

    let mut report = serde_json::to_value(health.report()).unwrap();
    for component in report["components"].as_array_mut().unwrap() {
        let since = component.as_object_mut().unwrap().remove("since").unwrap();
        OffsetDateTime::parse(since.as_str().unwrap(), &Rfc3339).unwrap();
    }
    assert_eq!(
        report,
        json!({
            "status": "degraded",
            "draining": false,
            "components": [
                {"name": "database", "status": "up", "impact": "required"},
                {"name": "kafka", "status": "down", "impact": "degrades", "reason": "no broker"},
                {"name": "inventory", "status": "down", "impact": "degrades", "reason": "starting"},
            ],
        })
    );
}

#[test]
fn only_transitions_are_logged() {
    let log = Log::default();
    let subscriber = {
        let log = log.clone();
        tracing_subscriber::fmt().with_writer(move || log.clone()).without_time().with_ansi(false).finish()
    };
    tracing::subscriber::with_default(subscriber, || {
        let database = Health::new().component("database", Impact::Required);
        database.down("connection refused");
        database.down("connection refused");
        database.down("no route to host");
        database.up();
        database.up();
        database.down("connection refused");
    });
    let lines: Vec<String> = log.text().lines().map(|line| line.trim_start().to_owned()).collect();
    let levels: Vec<&str> = lines.iter().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(levels, ["WARN", "INFO", "WARN"], "{lines:?}");
    assert!(lines[0].contains("component=\"database\"") && lines[0].contains("connection refused"), "{lines:?}");
}

#[test]
fn newest_reason_is_reported_and_since_stays_that_of_the_transition() {
    let health = Health::new();
    let database = health.component("database", Impact::Required);
    let since = || health.shared.lock().components[0].since;
    database.down("connection refused");
    let transition = since();
    database.down("no route to host");
    assert_eq!(health.report().components[0].reason.as_deref(), Some("no route to host"));
    assert_eq!(since(), transition);
}

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn text(&self) -> String {
        String::from_utf8(self.0.lock().unwrap().clone()).unwrap()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
