//! The command line as people call it: a process of its own that finds the platform through its environment.

use std::process::Stdio;

use serde_json::Value;
use tokio::process::Command;

use crate::platform::Platform;

/// What a call left behind.
#[derive(Clone, Debug)]
pub struct Called {
    /// The exit code.
    pub code: Option<i32>,
    /// What it wrote to standard output.
    pub answer: String,
    /// What it wrote to standard error.
    pub errors: String,
}

impl Called {
    /// The answer of a call with `--json`.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.answer).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }
}

/// Calls `orderctl` with `arguments` and waits for its end. `program` is the one that the tests were built with.
///
/// # Panics
/// When it can't be started.
pub async fn call(program: &str, platform: &Platform, arguments: &[&str]) -> Called {
    let output = Command::new(program)
        .arg("orderctl")
        .args(arguments)
        .env("KAFKA_BOOTSTRAP_SERVERS", platform.kafka())
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", platform.stack.traces.otlp_endpoint())
        .env_remove("OTEL_SDK_DISABLED")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .expect("the program was built with the tests");
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    Called { code: output.status.code(), answer: text(output.stdout), errors: text(output.stderr) }
}
