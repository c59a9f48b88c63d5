//! How a server that we started lives and dies.
//!
//! Every server has a process group of its own, so that Ctrl-C in the terminal reaches only us and we stop the servers
//! in order. It ends with us in every case: asked to by [`ServerProcess::stop`], killed on drop, and when we were
//! killed ourselves by a watchdog, a shell that waits for the pipe from us to break. If even the watchdog is gone, the
//! next start finds the leftover by its pid file.

use std::fs::{self, File};
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal};

use crate::waiting::{POLL, Patience};

/// A server that has not ended this long after it was asked to is killed.
const STOP_LIMIT: Duration = Duration::from_secs(15);

/// How long a drop may block for a server's own abrupt end before it is killed.
const DROP_LIMIT: Duration = Duration::from_secs(3);

/// A log above this size is set aside when its server starts.
const LOG_LIMIT_BYTES: u64 = 16 * 1024 * 1024;

/// How a server is asked to end.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Signals {
    /// Ends in order, with nothing left to recover.
    pub(crate) polite: Signal,
    /// Ends at once, like a crash. Postgres cleans up its own children only when it is told, not when it is killed.
    pub(crate) abrupt: Signal,
}

impl Signals {
    /// SIGTERM, then SIGKILL.
    pub(crate) const USUAL: Self = Self { polite: Signal::TERM, abrupt: Signal::KILL };
}

/// What to start and how to recognise it later.
#[derive(Debug, Clone)]
pub(crate) struct ServerSpec {
    /// For messages.
    pub(crate) name: &'static str,
    pub(crate) signals: Signals,
    /// Where its standard output and error go.
    pub(crate) log: PathBuf,
    /// Where its process id is written.
    pub(crate) pid_file: PathBuf,
    /// A path among its arguments that no other program's command line has.
    pub(crate) mark: PathBuf,
}

/// A child that is a server.
#[derive(Debug)]
pub(crate) struct ServerProcess {
    spec: ServerSpec,
    child: Child,
    watchdog: Child,
}

impl ServerProcess {
    /// Starts `command`. One that an earlier process of ours left behind must have been stopped before
    /// ([`stop_leftover`]).
    ///
    /// # Errors
    /// The program can't be started, or its log or pid file can't be written.
    pub(crate) fn start(mut command: Command, spec: ServerSpec) -> Result<Self> {
        use std::os::unix::process::CommandExt;
        let log = open_log(&spec.log)?;
        let errors = log.try_clone().with_context(|| format!("can't share {}", spec.log.display()))?;
        let mut child = command
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(errors)
            .process_group(0)
            .spawn()
            .with_context(|| format!("can't start {}", command.get_program().display()))?;
        let watched = watch(&child, spec.signals.polite).and_then(|watchdog| {
            fs::write(&spec.pid_file, format!("{}\n", child.id()))
                .with_context(|| format!("can't write {}", spec.pid_file.display()))?;
            Ok(watchdog)
        });
        match watched {
            Ok(watchdog) => Ok(Self { spec, child, watchdog }),
            Err(error) => {
                end_at_once(&mut child, spec.signals.abrupt);
                Err(error)
            }
        }
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Called while waiting for the server to come up.
    ///
    /// # Errors
    /// It has ended; the text carries the end of its log.
    pub(crate) fn check_alive(&mut self) -> Result<()> {
        match self.child.try_wait().with_context(|| format!("can't ask for the state of {}", self.spec.name))? {
            None => Ok(()),
            Some(status) => bail!("{} ended by itself ({status}):\n{}", self.spec.name, self.log_tail()),
        }
    }

    /// The last lines of its log, for error texts.
    pub(crate) fn log_tail(&self) -> String {
        tail(&self.spec.log).unwrap_or_else(|error| format!("(no log at {}: {error})", self.spec.log.display()))
    }

    /// Asks the server to end and waits; kills it when that takes too long.
    ///
    /// # Errors
    /// The system refuses to signal or to wait.
    pub(crate) async fn stop(mut self) -> Result<()> {
        self.signal_and_wait(self.spec.signals.polite).await
    }

    /// Ends the server like a crash would.
    ///
    /// # Errors
    /// The system refuses to signal or to wait.
    pub(crate) async fn crash(mut self) -> Result<()> {
        self.signal_and_wait(self.spec.signals.abrupt).await
    }

    async fn signal_and_wait(&mut self, signal: Signal) -> Result<()> {
        if self.wait()?.is_none() {
            send(&self.child, signal)?;
        }
        let end = Instant::now() + STOP_LIMIT;
        while self.wait()?.is_none() {
            if Instant::now() >= end {
                self.child.kill().with_context(|| format!("can't kill {}", self.spec.name))?;
            }
            tokio::time::sleep(POLL).await;
        }
        Ok(())
    }

    fn wait(&mut self) -> Result<Option<ExitStatus>> {
        self.child.try_wait().with_context(|| format!("can't wait for {}", self.spec.name))
    }
}

impl Drop for ServerProcess {
    fn drop(&mut self) {
        end_at_once(&mut self.child, self.spec.signals.abrupt);
        // Only now: until the server is gone, the watchdog is what ends it if we are killed here.
        end_at_once(&mut self.watchdog, Signal::KILL);
        // A pid file that stays is harmless: its process is looked at before anything is done to it.
        drop(fs::remove_file(&self.spec.pid_file));
    }
}

/// A shell that outlives us by as long as it takes to signal `child`: its `read` ends when our end of the pipe is
/// closed, which the system does for us however we end.
fn watch(child: &Child, polite: Signal) -> Result<Child> {
    use std::os::unix::process::CommandExt;
    Command::new("/bin/sh")
        .args(["-c", "read -r _; kill -\"$1\" \"$2\"", "watchdog"])
        .arg(polite.as_raw().to_string())
        .arg(child.id().to_string())
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .process_group(0)
        .spawn()
        .context("can't start /bin/sh")
}

fn send(child: &Child, signal: Signal) -> Result<()> {
    // A child keeps its id until we have waited for it, so this can't reach a stranger.
    rustix::process::kill_process(Pid::from_child(child), signal).context("can't signal a server")
}

/// Never fails and never blocks for long, for use where nobody can wait.
fn end_at_once(child: &mut Child, signal: Signal) {
    let end = Instant::now() + DROP_LIMIT;
    let mut ended = !matches!(child.try_wait(), Ok(None)) || send(child, signal).is_err();
    while !ended && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(5));
        ended = !matches!(child.try_wait(), Ok(None));
    }
    // After the loop the child is gone, or killing it is all that is left to try.
    drop(child.kill());
    drop(child.wait());
}

/// Stops the server that an earlier process of ours left running, if there is one.
///
/// # Errors
/// It can't be signalled or does not end.
pub(crate) async fn stop_leftover(spec: &ServerSpec) -> Result<bool> {
    let Some(pid) = read_pid(&spec.pid_file) else { return Ok(false) };
    if !is_running(pid, &spec.mark) {
        return Ok(false);
    }
    let patience = Patience::of(STOP_LIMIT * 2);
    let kill_from = Instant::now() + STOP_LIMIT;
    let mut signal = spec.signals.polite;
    while is_running(pid, &spec.mark) {
        match rustix::process::kill_process(pid, signal) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => {}
            Err(error) => {
                return Err(error).with_context(|| format!("can't stop {} (pid {})", spec.name, pid.as_raw_nonzero()));
            }
        }
        if Instant::now() >= kill_from {
            signal = Signal::KILL;
        }
        patience
            .poll(|| format!("{} left by an earlier run (pid {}) did not end", spec.name, pid.as_raw_nonzero()))
            .await?;
    }
    Ok(true)
}

/// The process id on the first line of `file`.
pub(crate) fn read_pid(file: &Path) -> Option<Pid> {
    Pid::from_raw(fs::read_to_string(file).ok()?.lines().next()?.trim().parse().ok()?)
}

/// Whether `pid` is a running process with `mark` on its command line. An id alone proves nothing: the system gives it
/// to others later.
pub(crate) fn is_running(pid: Pid, mark: &Path) -> bool {
    command_line(pid).is_some_and(|line| line.contains(&*mark.to_string_lossy()))
}

fn command_line(pid: Pid) -> Option<String> {
    let pid = pid.as_raw_nonzero().to_string();
    if let Ok(arguments) = fs::read(Path::new("/proc").join(&pid).join("cmdline")) {
        return Some(String::from_utf8_lossy(&arguments).replace('\0', " "));
    }
    let shown = Command::new("ps").args(["-ww", "-o", "command=", "-p", &pid]).stderr(Stdio::null()).output().ok()?;
    shown.status.success().then(|| String::from_utf8_lossy(&shown.stdout).into_owned())
}

fn open_log(path: &Path) -> Result<File> {
    if path.metadata().is_ok_and(|file| file.len() > LOG_LIMIT_BYTES) {
        fs::rename(path, path.with_extension("log.old"))
            .with_context(|| format!("can't set {} aside", path.display()))?;
    }
    File::options()
        .create(true)
        .append(true)
        .open(path)
        .with_context(|| format!("can't open the log {}", path.display()))
}

/// The last 4 KiB, from the start of a line.
fn tail(path: &Path) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    let skipped = file.metadata()?.len().saturating_sub(4096);
    file.seek(SeekFrom::Start(skipped))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    let text = String::from_utf8_lossy(&bytes);
    let whole_lines = if skipped == 0 { &*text } else { text.split_once('\n').map_or("", |(_, rest)| rest) };
    Ok(whole_lines.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A server that has `mark` on its command line and ends when it is asked to.
    fn spec(folder: &Path) -> (Command, ServerSpec) {
        let mark = folder.join("settings");
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo started; trap 'exit 0' TERM; while :; do sleep 0.05; done"]).arg(&mark);
        let (log, pid_file) = (folder.join("test.log"), folder.join("test.pid"));
        (command, ServerSpec { name: "Test", signals: Signals::USUAL, log, pid_file, mark })
    }

    fn leave_behind(mut command: Command, spec: &ServerSpec) -> Child {
        let child = command.stdout(Stdio::null()).spawn().unwrap();
        fs::write(&spec.pid_file, child.id().to_string()).unwrap();
        // Its command line is empty for a moment after the program was replaced.
        let patience = Instant::now() + STOP_LIMIT;
        while !is_running(read_pid(&spec.pid_file).unwrap(), &spec.mark) {
            assert!(Instant::now() < patience, "the child does not show its command line");
            std::thread::yield_now();
        }
        child
    }

    #[tokio::test]
    async fn leftover_is_stopped_by_its_pid_file() {
        let folder = tempfile::tempdir().unwrap();
        let (command, spec) = spec(folder.path());
        let mut leftover = leave_behind(command, &spec);
        assert!(stop_leftover(&spec).await.unwrap());
        assert!(leftover.wait().is_ok());
        assert!(!stop_leftover(&spec).await.unwrap());
    }

    #[tokio::test]
    async fn stranger_with_the_number_of_a_leftover_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let (command, mut spec) = spec(folder.path());
        let mut stranger = leave_behind(command, &spec);
        spec.mark = folder.path().join("other");
        assert!(!stop_leftover(&spec).await.unwrap());
        assert!(stranger.try_wait().unwrap().is_none());
        stranger.kill().unwrap();
        stranger.wait().unwrap();
    }

    #[tokio::test]
    async fn server_that_ends_by_itself_is_reported_with_its_log() {
        let folder = tempfile::tempdir().unwrap();
        let (_, spec) = spec(folder.path());
        let mut command = Command::new("/bin/sh");
        command.args(["-c", "echo no room left; exit 7"]);
        let mut server = ServerProcess::start(command, spec).unwrap();
        let patience = Patience::of(Duration::from_secs(10));
        let error = loop {
            match server.check_alive() {
                Ok(()) => patience.poll(|| "the server did not end".to_owned()).await.unwrap(),
                Err(error) => break error.to_string(),
            }
        };
        assert!(error.contains("no room left") && error.contains('7'), "{error}");
    }

    #[test]
    fn dropped_server_is_gone_with_its_pid_file() {
        let folder = tempfile::tempdir().unwrap();
        let (command, spec) = spec(folder.path());
        let server = ServerProcess::start(command, spec.clone()).unwrap();
        let pid = Pid::from_child(&server.child);
        assert_eq!(read_pid(&spec.pid_file), Some(pid));
        drop(server);
        assert!(!is_running(pid, &spec.mark) && !spec.pid_file.exists());
    }
}
