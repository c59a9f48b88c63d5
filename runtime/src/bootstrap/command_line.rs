//! `order-svc [--config FILE] [check-config | healthcheck]`, `--help`, `--version`.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Arg, value_parser};

use super::{EXIT_USAGE, Service, settings_table};
use crate::settings::help_table;

const CHECK_CONFIG: &str = "check-config";
const HEALTHCHECK: &str = "healthcheck";
const CONFIG: &str = "config";

/// What the process was asked to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Command {
    Serve,
    CheckConfig,
    Healthcheck,
}

#[derive(Debug)]
pub(super) struct CommandLine {
    pub(super) command: Command,
    pub(super) config: Option<PathBuf>,
}

impl CommandLine {
    /// Without the program's name. Help, version and mistakes are printed here; the process then exits with the code.
    pub(super) fn parse<S: Service>(arguments: impl IntoIterator<Item = OsString>) -> Result<Self, ExitCode> {
        let matches = definition::<S>().try_get_matches_from(arguments).map_err(|stop| {
            let is_mistake = stop.use_stderr();
            match (stop.print(), is_mistake) {
                (Ok(()), false) => ExitCode::SUCCESS,
                (Ok(()), true) => ExitCode::from(EXIT_USAGE),
                (Err(_), _) => ExitCode::FAILURE,
            }
        })?;
        let command = match matches.subcommand_name() {
            None => Command::Serve,
            Some(CHECK_CONFIG) => Command::CheckConfig,
            Some(HEALTHCHECK) => Command::Healthcheck,
            Some(other) => unreachable!("clap refuses commands that are not defined, '{other}' is"),
        };
        Ok(Self { command, config: matches.get_one::<PathBuf>(CONFIG).cloned() })
    }
}

fn definition<S: Service>() -> clap::Command {
    let settings = format!(
        "Settings, from the environment or, in lower case, from FILE; the environment wins:\n{}",
        help_table(&settings_table::<S>())
    );
    clap::Command::new(S::NAME)
        .about(format!("{} Without a command it starts.", S::ABOUT))
        .version(S::VERSION)
        .no_binary_name(true)
        .disable_help_subcommand(true)
        .arg(
            Arg::new(CONFIG)
                .long(CONFIG)
                .value_name("FILE")
                .value_parser(value_parser!(PathBuf))
                .global(true)
                .help("TOML file with settings"),
        )
        .subcommand(clap::Command::new(CHECK_CONFIG).about("Prints the settings in effect, or all that is wrong"))
        .subcommand(clap::Command::new(HEALTHCHECK).about("Exits with 0 when the service on this machine is serving"))
        .after_help(settings)
}
