//! A Postgres cluster of our own: where its files are, how they are made, how its server is started.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use sqlx::{Connection, PgConnection};

use super::account::{Account, private_temp_folder};
use super::binaries::Binaries;
use crate::StackOptions;
use crate::process::{ServerProcess, ServerSpec, Signals, is_running, read_pid, stop_leftover};
use crate::programs::run;
use crate::waiting::Patience;

/// The role that owns everything.
const SUPERUSER: &str = "postgres";

/// Recovery after a crash can take long with much to replay.
const START_LIMIT: Duration = Duration::from_secs(120);

/// The longest path of a unix socket that both Linux (107) and macOS (103) take.
const SOCKET_PATH_LIMIT: usize = 103;

/// Where a cluster's files are.
#[derive(Debug)]
pub(super) struct Places {
    account: Account,
    /// What `-D` gets.
    cluster: PathBuf,
    pub(super) socket: PathBuf,
    log: PathBuf,
    pid_file: PathBuf,
}

impl Places {
    /// Inside `data` as far as the server's user gets there and the socket's path is short enough.
    pub(super) fn choose(data: &Path, options: &StackOptions) -> Result<Self> {
        let account = Account::for_server()?;
        let reachable = account.can_reach(data);
        let folder = if reachable { data.to_owned() } else { private_temp_folder(data)? };
        if !reachable {
            let reason = "the user that Postgres runs as can't enter the data folder";
            options.say("postgres", format!("{reason}; its files are in {}", folder.display()));
        }
        let socket = folder.join("socket");
        let too_long = socket.join(".s.PGSQL.65535.lock").as_os_str().len() > SOCKET_PATH_LIMIT;
        Ok(Self {
            account,
            cluster: folder.join("postgres"),
            socket: if too_long { private_temp_folder(data)?.join("socket") } else { socket },
            log: data.join("postgres.log"),
            pid_file: data.join("postgres.pid"),
        })
    }

    /// The major version that made the cluster, if there is one.
    pub(super) fn major(&self) -> Option<String> {
        Some(fs::read_to_string(self.cluster.join("PG_VERSION")).ok()?.trim().to_owned())
    }

    fn server_spec(&self) -> ServerSpec {
        ServerSpec {
            name: "Postgres",
            // SIGINT is its fast shutdown, SIGQUIT its immediate one.
            signals: Signals { polite: Signal::INT, abrupt: Signal::QUIT },
            log: self.log.clone(),
            pid_file: self.pid_file.clone(),
            mark: self.cluster.clone(),
        }
    }

    /// Makes the cluster if it is missing, and stops a server that an earlier process of ours left.
    ///
    /// # Errors
    /// Another version made the cluster, somebody else's server runs on it, or initdb fails.
    pub(super) async fn prepare(&self, binaries: &Binaries, options: &StackOptions) -> Result<()> {
        match self.major() {
            Some(major) if major != binaries.major() => bail!(
                "PostgreSQL {major} made {}, but only {} was found; install {major}, or move that folder away",
                self.cluster.display(),
                binaries.version
            ),
            Some(_) => {}
            None => {
                options.say("postgres", format!("making a database cluster in {}", self.cluster.display()));
                self.make(binaries).await?;
            }
        }
        fs::create_dir_all(&self.socket).with_context(|| format!("can't make {}", self.socket.display()))?;
        self.account.own(&self.socket)?;
        if stop_leftover(&self.server_spec()).await? {
            options.say("postgres", "stopped the server that an earlier run left");
        }
        self.check_unused()
    }

    /// initdb into a folder beside, then a rename: an interrupted initdb never looks like a cluster.
    async fn make(&self, binaries: &Binaries) -> Result<()> {
        let unfinished = self.cluster.with_extension("new");
        let mut result = Ok(String::new());
        // The locale that sorts by code point and knows UTF-8 is not on every system; the plain one is.
        for locale in ["C.UTF-8", "C"] {
            if unfinished.exists() {
                fs::remove_dir_all(&unfinished).with_context(|| format!("can't remove {}", unfinished.display()))?;
            }
            fs::create_dir_all(&unfinished).with_context(|| format!("can't make {}", unfinished.display()))?;
            self.account.own(&unfinished)?;
            let mut command = Command::new(binaries.program("initdb"));
            command.arg("-D").arg(&unfinished).args(["--encoding=UTF8", "--auth=trust", "-U", SUPERUSER]);
            command.arg(format!("--locale={locale}"));
            self.account.apply(&mut command);
            result = run(command).await;
            if result.is_ok() {
                break;
            }
        }
        result.context("can't make a database cluster")?;
        fs::rename(&unfinished, &self.cluster)
            .with_context(|| format!("can't put the new cluster at {}", self.cluster.display()))
    }

    /// The data lock keeps other stacks away, not a server that a person started by hand.
    fn check_unused(&self) -> Result<()> {
        let file = self.cluster.join("postmaster.pid");
        let Some(pid) = read_pid(&file) else { return Ok(()) };
        if is_running(pid, &self.cluster) {
            let pid = pid.as_raw_nonzero();
            bail!("another Postgres server (pid {pid}) runs on {}; stop it first", self.cluster.display());
        }
        if rustix::process::test_kill_process(pid).is_ok() {
            // After a crash and a reboot the number may be that of any program, and the server would take that for a
            // server. Where nothing has the number, the file stays: the server learns from it what to clean up.
            fs::remove_file(&file).with_context(|| format!("can't remove the stale {}", file.display()))?;
        }
        Ok(())
    }

    /// Starts the server and waits until it answers queries.
    ///
    /// # Errors
    /// It ends by itself, or does not answer in time; the text has the end of its log.
    pub(super) async fn start_server(&self, binaries: &Binaries, port: u16) -> Result<ServerProcess> {
        let patience = Patience::of(START_LIMIT);
        let mut server = ServerProcess::start(self.server_command(binaries, port), self.server_spec())?;
        loop {
            if self.answers(port).await {
                return Ok(server);
            }
            if let Err(ended) = server.check_alive() {
                // After a SIGKILL of the server, its last children need a moment to notice and let go of its memory.
                if !ended.to_string().contains("pre-existing shared memory block") {
                    return Err(ended);
                }
                drop(server);
                server = ServerProcess::start(self.server_command(binaries, port), self.server_spec())?;
            }
            patience.poll(|| format!("Postgres did not answer; see {}; no answer", self.log.display())).await?;
        }
    }

    fn server_command(&self, binaries: &Binaries, port: u16) -> Command {
        let mut command = Command::new(binaries.program("postgres"));
        command.arg("-D").arg(&self.cluster).arg("-k").arg(&self.socket).args(["-h", "127.0.0.1"]);
        command.arg("-p").arg(port.to_string());
        for setting in [
            "fsync=on",
            "max_connections=200",
            "shared_buffers=128MB",
            "max_wal_size=2GB",
            "logging_collector=off",
            "log_line_prefix=%m [%p] %q%u@%d ",
            "log_lock_waits=on",
            "log_timezone=UTC",
            "timezone=UTC",
        ] {
            command.args(["-c", setting]);
        }
        self.account.apply(&mut command);
        command
    }

    async fn answers(&self, port: u16) -> bool {
        match PgConnection::connect_with(&self.connect_options(port)).await {
            Ok(connection) => connection.close().await.is_ok(),
            Err(_) => false,
        }
    }

    fn connect_options(&self, port: u16) -> PgConnectOptions {
        PgConnectOptions::new_without_pgpass()
            .socket(&self.socket)
            .port(port)
            .username(SUPERUSER)
            .database("postgres")
            .ssl_mode(PgSslMode::Disable)
    }

    /// A URL that reaches `database` over the socket, which saves the small-packet delays of TCP.
    pub(super) fn url(&self, port: u16, database: &str) -> String {
        format!("postgres://{SUPERUSER}@localhost:{port}/{database}?host={}", encode(&self.socket.to_string_lossy()))
    }

    /// The same over TCP.
    pub(super) fn tcp_url(port: u16, database: &str) -> String {
        format!("postgres://{SUPERUSER}@127.0.0.1:{port}/{database}")
    }
}

/// Percent-encodes what a URL's query gives a meaning to.
fn encode(path: &str) -> String {
    path.bytes()
        .map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'/' | b'.' | b'-' | b'_' | b'~' => char::from(byte).to_string(),
            other => format!("%{other:02X}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_path_survives_the_url() {
        assert_eq!(encode("/a b/ü&c/.data"), "/a%20b/%C3%BC%26c/.data");
    }
}
