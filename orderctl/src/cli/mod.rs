//! The commands: what may be typed, and what each does.

mod dead_letters;
mod import;
mod load;
mod order;
mod seed;
mod serve;
mod stock;
mod trace;
mod watch;

use std::time::Duration;

use clap::{Args, Parser, Subcommand};

pub(crate) use dead_letters::parse_servers;
pub(crate) use import::{import_id, send as send_import};
pub(crate) use serve::{Part, STOP_WITH_PARENT};
pub(crate) use trace::current_style;

use crate::doctor::DoctorArguments;
use crate::up::UpArguments;

/// Runs the order platform on this machine, and talks to one that runs anywhere.
#[derive(Debug, Parser)]
#[command(
    name = "orderctl",
    version,
    after_help = "\
Examples:
  orderctl up                                   everything on this machine, one order, its trace
  orderctl order place KETTLE-17L-STEEL=2       an order of your own
  orderctl trace ORDER_ID                       where its time went
  orderctl doctor                               what is wrong with a platform, and what to do

Exit codes: 0 done, 1 failed, 2 wrong usage, 78 bad settings (serve)."
)]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Command,
}

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    Up(UpArguments),
    Order(order::OrderArguments),
    Stock(stock::StockArguments),
    Trace(trace::TraceArguments),
    DeadLetters(dead_letters::DeadLettersArguments),
    Load(load::LoadArguments),
    Seed(seed::SeedArguments),
    Doctor(DoctorArguments),
    Serve(serve::ServeArguments),
}

/// What every command that calls a service takes.
#[derive(Debug, Args)]
pub(crate) struct CallOptions {
    /// Print the answer as JSON (proto3 mapping)
    #[arg(long, global = true)]
    pub(crate) json: bool,
    /// How long a call may take, e.g. 500ms, 5s, 2m [default: 5s, import: 10m]
    #[arg(long, global = true, value_name = "TIME", value_parser = parse_duration)]
    timeout: Option<Duration>,
}

impl CallOptions {
    const CALL: Duration = Duration::from_secs(5);
    const IMPORT: Duration = Duration::from_secs(600);

    pub(crate) fn call_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::CALL)
    }

    pub(crate) fn import_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::IMPORT)
    }
}

pub(crate) fn parse_duration(text: &str) -> Result<Duration, String> {
    let split = text.find(|character: char| !character.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(split);
    let expected = || "expected a number with ms, s or m behind it, such as 500ms, 5s or 2m".to_owned();
    let number: u64 = number.parse().map_err(|_| expected())?;
    let milliseconds = match unit {
        "ms" => Some(number),
        "s" => number.checked_mul(1_000),
        "m" => number.checked_mul(60_000),
        _ => None,
    };
    milliseconds.filter(|&milliseconds| milliseconds > 0).map(Duration::from_millis).ok_or_else(expected)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn definitions_are_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command) {
            let help = command.get_after_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.contains("Example"), "{} has no example", command.get_name());
            command.get_subcommands().for_each(check);
        }
        check(&Cli::command());
    }

    #[test]
    fn durations_need_a_unit() {
        assert_eq!(parse_duration("250ms"), Ok(Duration::from_millis(250)));
        assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
        for wrong in ["", "5", "s", "0s", "-1s", "1.5s", "5h", "99999999999999999999s"] {
            assert!(parse_duration(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn replays_say_what_they_are_about() {
        for line in [
            "orderctl dead-letters replay",
            "orderctl dead-letters replay --topic orders.v1",
            "orderctl dead-letters replay --all orders.v1.dlq/4@17",
            "orderctl dead-letters replay orders.v1.dlq/4@17 --reason undecodable",
            "orderctl dead-letters replay orders.v1/4",
            "orderctl dead-letters list --topic orders.v1.dlq",
            "orderctl dead-letters list --reason unlucky",
            "orderctl dead-letters list --kafka 9092",
        ] {
            assert!(Cli::try_parse_from(line.split(' ')).is_err(), "{line}");
        }
    }

    #[test]
    fn common_lines_parse() {
        for line in [
            "orderctl up --once --data /tmp/x --ports any",
            "orderctl order place A=1 B=2 --customer c --request-id r --timeout 2s --json",
            "orderctl order list --status pending --page-size 3",
            "orderctl order --address http://h:1 watch ID --after 2",
            "orderctl stock import FILE --import-id x",
            "orderctl trace ID --jaeger http://h:16686",
            "orderctl dead-letters --kafka h:9092,i:9092 list --topic orders.v1 --reason undecodable --since 15m --json",
            "orderctl dead-letters show orders.v1.dlq/4@17",
            "orderctl dead-letters replay orders.v1.dlq/4@17 inventory.v1.dlq/0@3 --dry-run",
            "orderctl dead-letters replay --all --topic inventory.v1 --since 2026-01-02T03:04:05Z",
            "orderctl load --rate 500 --duration 30s --call get --json",
            "orderctl load --call shop --retries 1",
            "orderctl seed --published orders=shop:1,Grafana=http://shop:2",
            "orderctl doctor --kafka h:9092 --prometheus http://h:9090 --dashboards observability/grafana/dashboards --json",
            "orderctl serve order --config FILE check-config",
        ] {
            let parsed = Cli::try_parse_from(line.split(' '));
            assert!(parsed.is_ok(), "{line}: {}", parsed.err().map(|error| error.to_string()).unwrap_or_default());
        }
    }
}
