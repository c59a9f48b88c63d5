//! Runs the example as a process and talks to it.

use std::io::{BufRead as _, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes on a busy machine; a test that needs it fails.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

#[derive(Debug)]
pub(crate) struct Output {
    pub(crate) code: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs the service to its end.
pub(crate) fn run(arguments: &[&str], environment: &[(&str, &str)]) -> Output {
    let output = command(environment).args(arguments).output().unwrap();
    Output {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A service that has started, on free ports.
pub(crate) struct Service {
    child: Child,
    lines: Receiver<String>,
    pub(crate) grpc: String,
}

impl Service {
    pub(crate) fn start(environment: &[(&str, &str)]) -> Self {
        let mut command = command(environment);
        command.envs([("GRPC_LISTEN", "127.0.0.1:0"), ("ADMIN_LISTEN", "127.0.0.1:0")]);
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
        let lines = lines_of(child.stdout.take().unwrap());
        let mut service = Self { child, lines, grpc: String::new() };
        let listening: serde_json::Value = serde_json::from_str(&service.wait_for_line("grpc listening")).unwrap();
        service.grpc = listening["address"].as_str().unwrap().to_owned();
        service.wait_for_line("service started");
        service
    }

    /// The next line of the log that contains `text`.
    pub(crate) fn wait_for_line(&mut self, text: &str) -> String {
        let mut seen = Vec::new();
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(line) if line.contains(text) => return line,
                Ok(line) => seen.push(line),
                Err(error) => panic!("no line with '{text}' ({error}) among {seen:#?}"),
            }
        }
    }

    pub(crate) fn signal(&self, name: &str) {
        let kill = format!("kill -s {name} {}", self.child.id());
        let status = Command::new("sh").args(["-c", &kill]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for the end: the log ends with the process.
    pub(crate) fn exit_code(&mut self) -> i32 {
        loop {
            match self.lines.recv_timeout(PATIENCE) {
                Ok(_) => {}
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap().code().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("the process goes on"),
            }
        }
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        if matches!(self.child.try_wait(), Ok(None)) {
            self.child.kill().unwrap();
            self.child.wait().unwrap();
        }
    }
}

/// The example with nothing but `environment`: variables of whoever runs the tests must not reach it.
fn command(environment: &[(&str, &str)]) -> Command {
    // target/debug/deps/process-… → target/debug/examples/smallest_service
    let this_test = std::env::current_exe().unwrap();
    let path: PathBuf = this_test.ancestors().nth(2).unwrap().join("examples/smallest_service");
    assert!(path.exists(), "`cargo test` builds the example; a narrower command needs `--examples` too");
    let mut command = Command::new(path);
    command.env_clear().envs(environment.iter().copied());
    command
}

/// Reads in a thread, so that waiting for a line can have a limit.
fn lines_of(output: ChildStdout) -> Receiver<String> {
    let (sender, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                return;
            }
        }
    });
    lines
}
