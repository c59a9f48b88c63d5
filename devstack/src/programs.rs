//! Finding and running other programs.

use std::ffi::OsStr;
use std::io::{Read, Seek};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process_group};

use crate::waiting::POLL;

/// The first executable called `name` in the folders of `path`.
pub(crate) fn find(name: &str, path: Option<&OsStr>) -> Option<PathBuf> {
    std::env::split_paths(path?).map(|folder| folder.join(name)).find(|program| is_executable(program))
}

/// Whether `program` is a file that somebody may execute.
pub(crate) fn is_executable(program: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt;
    program.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
}

/// Runs a short-lived program to its end and returns what it printed, errors included. Dropping the future kills the
/// program and its children, so that nothing goes on in a folder that somebody else may take next.
///
/// # Errors
/// It can't be started or fails; the text carries what it printed.
pub(crate) async fn run(mut command: Command) -> Result<String> {
    let name = command.get_program().to_string_lossy().into_owned();
    // A file takes any amount without a reader at the other end.
    let mut output = tempfile::tempfile().context("can't make a temporary file")?;
    let share = || output.try_clone().context("can't share a temporary file");
    command.stdin(Stdio::null()).stdout(share()?).stderr(share()?).process_group(0);
    let mut running = KilledOnDrop(command.spawn().with_context(|| format!("can't run {name}"))?);
    let status = loop {
        match running.0.try_wait().with_context(|| format!("can't wait for {name}"))? {
            Some(status) => break status,
            None => tokio::time::sleep(POLL).await,
        }
    };
    let mut printed = Vec::new();
    output
        .rewind()
        .and_then(|()| output.read_to_end(&mut printed))
        .with_context(|| format!("can't read from {name}"))?;
    let printed = String::from_utf8_lossy(&printed).into_owned();
    if !status.success() {
        bail!("{name} failed ({status}): {}", printed.trim());
    }
    Ok(printed)
}

struct KilledOnDrop(Child);

impl Drop for KilledOnDrop {
    fn drop(&mut self) {
        if matches!(self.0.try_wait(), Ok(None)) {
            // Waiting is for the case that killing worked; it can only fail if the program is gone already.
            if kill_process_group(Pid::from_child(&self.0), Signal::KILL).is_ok() {
                drop(self.0.wait());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Command {
        let mut command = Command::new("/bin/sh");
        command.args(["-c", script]);
        command
    }

    #[tokio::test]
    async fn output_is_returned_and_a_failure_carries_it() {
        assert_eq!(run(shell("echo out; echo err >&2")).await.unwrap(), "out\nerr\n");
        let error = run(shell("echo reason; exit 3")).await.unwrap_err().to_string();
        assert!(error.contains("reason") && error.contains('3'), "{error}");
    }

    #[tokio::test]
    async fn program_whose_run_is_given_up_is_killed_with_its_children() {
        let folder = tempfile::tempdir().unwrap();
        let pid_file = folder.path().join("pid");
        let command = shell(&format!("sleep 1000 & echo $! > {}; wait", pid_file.display()));
        let child = {
            let running = std::pin::pin!(run(command));
            let started = std::pin::pin!(async {
                loop {
                    if let Some(pid) = crate::process::read_pid(&pid_file) {
                        return pid;
                    }
                    tokio::task::yield_now().await;
                }
            });
            match futures::future::select(running, started).await {
                futures::future::Either::Left((ended, _)) => panic!("the program ended: {ended:?}"),
                futures::future::Either::Right((pid, _)) => pid,
            }
        };
        let patience = crate::waiting::Patience::of(std::time::Duration::from_secs(10));
        while crate::process::is_running(child, Path::new("1000")) {
            patience.poll(|| "the child did not end".to_owned()).await.unwrap();
        }
    }
}
