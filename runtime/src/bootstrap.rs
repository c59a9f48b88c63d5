//! The one `main` of all services: command line, settings, telemetry, admin listener, signals, drain, exit code.
//!
//! A service implements [`Service`] and its binary calls [`run`]. What happens then, and what a service can rely on:
//!
//! 1. Settings are read; anything wrong with them ends the process with 78 before anything is started.
//! 2. Telemetry starts, the admin listener is bound and answers, then [`Service::start`] runs.
//! 3. The process lives until the first SIGTERM or SIGINT, or until one of its tasks fails.
//! 4. Health says not serving; `DRAIN_DELAY` passes, in which load balancers notice; [`Service::drain`] ends the
//!    service in order; the admin listener stops; telemetry is flushed last. All of that within `SHUTDOWN_GRACE`.
//! 5. The exit code is 0 when all of it went well, and 1 after a failed task, a drain that took too long, or a task
//!    that had to be abandoned.

mod command_line;
mod common;
mod grace;
mod healthcheck;
mod life;

use std::error::Error;
use std::ffi::OsString;
use std::future::Future;
use std::io::Write as _;
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use crate::health::Health;
use crate::settings::{self, SettingRow, SettingsReader};
use crate::tasks::Supervisor;
use command_line::{Command, CommandLine};
use common::CommonSettings;

/// EX_USAGE of sysexits.h: the command line is wrong.
const EXIT_USAGE: u8 = 64;
/// EX_CONFIG of sysexits.h: the settings are wrong.
const EXIT_CONFIG: u8 = 78;

/// Why a service could not start: an address in use, for example. (`anyhow::Error` converts into it with `?`.)
pub type StartError = Box<dyn Error + Send + Sync>;

/// What a service brings along; [`run`] does the rest.
pub trait Service: Sized + Send + 'static {
    /// The service's and the binary's name, also its `service.name` in traces: `order-svc`.
    const NAME: &'static str;
    /// One sentence for `--help`.
    const ABOUT: &'static str;
    /// `env!("CARGO_PKG_VERSION")` of the service's crate.
    const VERSION: &'static str;
    /// Default of `GRPC_LISTEN`, which the service reads and binds itself.
    const GRPC_LISTEN: &'static str;
    /// Default of `ADMIN_LISTEN`.
    const ADMIN_LISTEN: &'static str;
    /// Default of `HTTP_LISTEN`.
    const HTTP_LISTEN: &'static str;

    /// Everything that the service itself can be told.
    type Settings: Send + 'static;

    /// Declares and reads the settings. Also called without any value, to print what there is: it must not do anything
    /// else.
    fn read_settings(reader: &mut SettingsReader) -> Self::Settings;

    /// Binds the business listener and starts the tasks. It does not wait for a database or a broker that is away: that
    /// is for its tasks to retry and for its health components to say. An error ends the process with 1.
    fn start(settings: Self::Settings, runtime: RuntimeHandle)
    -> impl Future<Output = Result<Self, StartError>> + Send;

    /// Ends what `start` started, in order, losing nothing, within `limit`. Health says not serving already, and
    /// `DRAIN_DELAY` has passed. What is not done after `limit` is given up.
    fn drain(self, limit: Duration) -> impl Future<Output = ()> + Send;
}

/// What a service gets from its runtime. Tests make one of their own.
#[derive(Clone, Debug)]
pub struct RuntimeHandle {
    /// Where the service registers its components.
    pub health: Health,
    /// What the service makes its task groups with.
    pub supervisor: Supervisor,
    /// [`Service::NAME`].
    pub service_name: &'static str,
    /// [`Service::VERSION`].
    pub service_version: &'static str,
    /// Tells the replicas apart; a UUID drawn at start, `service.instance.id` in traces.
    pub instance_id: String,
}

impl RuntimeHandle {
    /// A handle for one process' life of `S`, with a new instance id.
    #[must_use]
    pub fn new<S: Service>() -> Self {
        Self {
            health: Health::new(),
            supervisor: Supervisor::new(),
            service_name: S::NAME,
            service_version: S::VERSION,
            instance_id: uuid::Uuid::new_v4().to_string(),
        }
    }
}

/// Runs a service as the command line says and returns the process' exit code: 0 after a drain in order, 1 after a
/// failure, 64 (EX_USAGE) for a command line that is wrong, 78 (EX_CONFIG) for settings that are.
///
/// `arguments` come without the program's name: `std::env::args_os().skip(1)`. The environment is the process' own.
pub fn run<S: Service>(arguments: impl IntoIterator<Item = OsString>) -> ExitCode {
    let CommandLine { command, config } = match CommandLine::parse::<S>(arguments) {
        Ok(command_line) => command_line,
        Err(code) => return code,
    };
    match command {
        Command::Serve => serve::<S>(config.as_deref()),
        Command::CheckConfig => check_config::<S>(config.as_deref()),
        Command::Healthcheck => healthcheck::run::<S>(reader(config.as_deref())),
    }
}

/// Every setting of `S`, its own first, for `--help` and for the test that keeps its README's table right.
#[must_use]
pub fn settings_table<S: Service>() -> Vec<SettingRow> {
    let mut reader = SettingsReader::without_values();
    S::read_settings(&mut reader);
    CommonSettings::read::<S>(&mut reader);
    reader.table()
}

fn serve<S: Service>(config: Option<&Path>) -> ExitCode {
    let mut reader = reader(config);
    let settings = S::read_settings(&mut reader);
    let common = CommonSettings::read::<S>(&mut reader);
    match reader.finish() {
        Ok(_) => life::live::<S>(common, settings),
        Err(errors) => refuse_settings::<S>(&errors),
    }
}

fn check_config<S: Service>(config: Option<&Path>) -> ExitCode {
    let mut reader = reader(config);
    S::read_settings(&mut reader);
    CommonSettings::read::<S>(&mut reader);
    match reader.finish() {
        // Not `println!`, which panics when the reader of the pipe has gone.
        Ok(rows) => match std::io::stdout().write_all(settings::effective(&rows).as_bytes()) {
            Ok(()) => ExitCode::SUCCESS,
            Err(_) => ExitCode::FAILURE,
        },
        Err(errors) => refuse_settings::<S>(&errors),
    }
}

/// Plain text, because how logs should look is one of the settings.
fn refuse_settings<S: Service>(errors: &settings::SettingsErrors) -> ExitCode {
    eprintln!("{}: the settings are wrong, nothing was started:\n{errors}", S::NAME);
    ExitCode::from(EXIT_CONFIG)
}

/// A variable that is not UTF-8 is read with replacement characters, so that its setting can refuse it; skipping it
/// would silently take the default.
fn reader(config: Option<&Path>) -> SettingsReader {
    let lossy = |text: OsString| text.to_string_lossy().into_owned();
    SettingsReader::new(config, std::env::vars_os().map(|(name, value)| (lossy(name), lossy(value))))
}

/// An error and what caused it, in one line.
fn with_causes(error: &(dyn Error + 'static)) -> String {
    let mut line = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        line = format!("{line}: {error}");
        cause = error.source();
    }
    line
}
