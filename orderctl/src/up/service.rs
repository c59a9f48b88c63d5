//! One of the two services as a process of its own: `orderctl serve …`, with settings by environment and its log in a
//! file.

use std::fs::{self, File};
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use rustix::process::{Pid, Signal};
use tokio::process::{Child, ChildStdin, Command};

use crate::cli::{Part, STOP_WITH_PARENT};
use crate::http;

/// A service waits for its dependencies by itself; longer than this means that something is wrong.
const READY_LIMIT: Duration = Duration::from_secs(60);
const POLL: Duration = Duration::from_millis(40);
/// More than SHUTDOWN_GRACE, after which a service gives up by itself.
const STOP_LIMIT: Duration = Duration::from_secs(25);
/// Lines of its log that say why a service ended.
const LAST_LINES: usize = 20;

/// Variables of a shell that must not reach both services alike, or would hide what `up` shows.
const NOT_INHERITED: [&str; 3] = ["OTEL_SDK_DISABLED", "TRACEPARENT", "HTTP_LISTEN"];
/// Each has its own, whatever OTEL_RESOURCE_ATTRIBUTES of the shell says.
const SERVICE_NAME: &str = "OTEL_SERVICE_NAME";

/// A running service. Dropping it kills it.
#[derive(Debug)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    log: PathBuf,
    child: Child,
    /// The pipe by whose end the service sees ours. Out of `child`, because waiting for a child closes its input.
    _lifeline: Option<ChildStdin>,
}

impl Service {
    /// Starts the process.
    ///
    /// # Errors
    /// The program or its log can't be opened.
    pub(crate) fn start(part: Part, environment: &[(&str, String)], logs: &Path) -> anyhow::Result<Self> {
        let name = part.service();
        let log = logs.join(format!("{name}.log"));
        let output = fresh_log(&log)?;
        let errors = output.try_clone().with_context(|| format!("{} can't be shared", log.display()))?;
        let program = std::env::current_exe().context("this program can't find its own file")?;
        let mut command = Command::new(program);
        for variable in NOT_INHERITED {
            command.env_remove(variable);
        }
        let mut child = command
            .args(["serve", part.argument()])
            .envs(environment.iter().map(|(key, value)| (key, value)))
            .env(SERVICE_NAME, name)
            .env(STOP_WITH_PARENT, "1")
            .stdin(Stdio::piped())
            .stdout(output)
            .stderr(errors)
            // Ctrl-C in the terminal must reach this program only, which stops its services in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("{name} can't be started"))?;
        let lifeline = child.stdin.take();
        Ok(Self { name, log, child, _lifeline: lifeline })
    }

    /// Waits until /readyz answers 200.
    ///
    /// # Errors
    /// The process ends first (the text has the end of its log), or is not ready within a minute (the text says what
    /// /readyz says).
    pub(crate) async fn wait_ready(&mut self, admin_port: u16) -> anyhow::Result<()> {
        let begun = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().with_context(|| format!("{} can't be watched", self.name))? {
                bail!("{} ended while starting ({status})\n{}", self.name, self.last_lines());
            }
            let answer = readyz(admin_port).await;
            match answer {
                Some((hyper::StatusCode::OK, _)) => return Ok(()),
                answer if begun.elapsed() > READY_LIMIT => {
                    let said = answer.map_or_else(|| "does not answer".to_owned(), |(_, body)| format!("says {body}"));
                    bail!("{} is not ready after {READY_LIMIT:?}: /readyz {said}\n{}", self.name, self.last_lines());
                }
                _ => tokio::time::sleep(POLL).await,
            }
        }
    }

    /// Waits until the process ends, which it should not do by itself. Cancel-safe.
    pub(crate) async fn ended(&mut self) -> anyhow::Error {
        match self.child.wait().await {
            Ok(status) => anyhow::anyhow!("{} ended ({status})\n{}", self.name, self.last_lines()),
            Err(error) => anyhow::Error::new(error).context(format!("{} can't be watched", self.name)),
        }
    }

    /// Asks the process to drain and waits for its end; kills it when it takes too long.
    ///
    /// # Errors
    /// It had to be killed, or ended with another code than 0. One that had ended before was reported by then.
    pub(crate) async fn stop(&mut self) -> anyhow::Result<()> {
        if matches!(self.child.try_wait(), Ok(Some(_))) {
            return Ok(());
        }
        let status = match self.signal(Signal::TERM) {
            Some(()) => tokio::time::timeout(STOP_LIMIT, self.child.wait()).await,
            None => Ok(self.child.wait().await),
        };
        let Ok(status) = status else {
            self.kill();
            bail!("{} did not end within {STOP_LIMIT:?} and was killed; its log: {}", self.name, self.log.display());
        };
        let status: ExitStatus = status.with_context(|| format!("{} can't be watched", self.name))?;
        // A service that has not got as far as to listen to signals dies of them, with nothing to drain.
        if !status.success() && status.signal() != Some(Signal::TERM.as_raw()) {
            bail!("{} ended with {status}; its log: {}", self.name, self.log.display());
        }
        Ok(())
    }

    /// Ends the process at once.
    pub(crate) fn kill(&mut self) {
        if self.signal(Signal::KILL).is_none() {
            // It has ended already.
        }
    }

    fn signal(&self, signal: Signal) -> Option<()> {
        let pid = self.child.id().and_then(|pid| i32::try_from(pid).ok()).and_then(Pid::from_raw)?;
        rustix::process::kill_process(pid, signal).ok()
    }

    fn last_lines(&self) -> String {
        let text = fs::read(&self.log).map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        if lines.is_empty() {
            return format!("  its log {} is empty", self.log.display());
        }
        let end = lines[lines.len().saturating_sub(LAST_LINES)..].join("\n    ");
        format!("  the end of {}:\n    {end}", self.log.display())
    }
}

/// Status and body of /readyz, `None` while nothing listens.
async fn readyz(port: u16) -> Option<(hyper::StatusCode, String)> {
    const ANSWER_LIMIT: Duration = Duration::from_secs(2);
    let (status, body) = http::get(&format!("http://127.0.0.1:{port}/readyz"), ANSWER_LIMIT).await.ok()?;
    Some((status, String::from_utf8_lossy(&body).into_owned()))
}

/// An empty log; the one of the run before is kept beside it.
fn fresh_log(path: &Path) -> anyhow::Result<File> {
    if path.exists() {
        let earlier = path.with_extension("log.old");
        fs::rename(path, &earlier).with_context(|| format!("{} can't be set aside", path.display()))?;
    }
    File::create(path).with_context(|| format!("{} can't be written", path.display()))
}
