//! `orderctl dead-letters …`: records that a consumer gave up on, and their way back.

mod filter;
mod replay;

use std::process::ExitCode;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use messaging::dead_letter::{Place, ReadError, Reader};

use self::filter::Filter;
use self::replay::ReplayArguments;
use crate::letters::{self, LetterJson, LettersJson, WholeJson};
use crate::output;

/// List, show and replay records that a consumer gave up on
///
/// They lie in the topics orders.v1.dlq and inventory.v1.dlq. Looking at them changes nothing, and a
/// replay leaves them where they are.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  orderctl dead-letters list --since 15m
  orderctl dead-letters show orders.v1.dlq/4@17
  orderctl dead-letters replay --all --topic orders.v1 --dry-run"
)]
pub(crate) struct DeadLettersArguments {
    /// Kafka's brokers; those of `orderctl up` unless told otherwise
    #[arg(
        long,
        global = true,
        env = "KAFKA_BOOTSTRAP_SERVERS",
        default_value = "127.0.0.1:19092",
        value_name = "HOST:PORT,…",
        value_parser = parse_servers
    )]
    kafka: String,
    /// Print the answer as JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: DeadLettersCommand,
}

#[derive(Debug, Subcommand)]
enum DeadLettersCommand {
    /// List dead letters, the oldest first
    #[command(after_help = "Example:\n  orderctl dead-letters list --topic orders.v1 --reason impossible_transition")]
    List {
        #[command(flatten)]
        filter: Filter,
    },
    /// Show a dead letter: key, headers, and the event in it as JSON
    #[command(after_help = "Example:\n  orderctl dead-letters show orders.v1.dlq/4@17")]
    Show {
        /// Its name in `list`: topic/partition@offset
        #[arg(value_name = "ID")]
        id: Place,
    },
    Replay(ReplayArguments),
}

pub(crate) fn parse_servers(text: &str) -> Result<String, String> {
    let is_address = |address: &str| {
        address.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok())
    };
    if text.split(',').map(str::trim).all(is_address) {
        Ok(text.to_owned())
    } else {
        Err("expected host:port, or several with commas between".to_owned())
    }
}

impl DeadLettersArguments {
    /// Runs the command and prints its answer. The exit code is 1 when something that was to be replayed was not.
    ///
    /// # Errors
    /// The brokers don't answer, a topic or letter is not there, or standard output can't be written.
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let Self { kafka, json, command } = self;
        match command {
            DeadLettersCommand::List { filter } => list(&kafka, &filter, json).await,
            DeadLettersCommand::Show { id } => show(&kafka, &id, json).await,
            DeadLettersCommand::Replay(arguments) => arguments.run(&kafka, json).await,
        }
    }
}

async fn list(kafka: &str, filter: &Filter, json: bool) -> anyhow::Result<ExitCode> {
    let reader = Reader::new(kafka);
    let mut found = Vec::new();
    for topic in filter.topics() {
        let mut letters = reader.letters(&topic).await.map_err(|error| failed(kafka, error))?;
        while let Some(letter) = letters.next().await.map_err(|error| failed(kafka, error))? {
            if filter.takes(&letter) {
                found.push((letter.time(), LetterJson::of(&letter)));
            }
        }
    }
    // Stable, so that letters of the same moment stay in the order of their partition.
    found.sort_by_key(|(time, _)| *time);
    let dead_letters: Vec<LetterJson> = found.into_iter().map(|(_, letter)| letter).collect();
    if json {
        output::print_json(&LettersJson { dead_letters })?;
    } else {
        output::print(&letters::table(&dead_letters))?;
    }
    Ok(ExitCode::SUCCESS)
}

async fn show(kafka: &str, id: &Place, json: bool) -> anyhow::Result<ExitCode> {
    let found = Reader::new(kafka).find(id).await.map_err(|error| failed(kafka, error))?;
    let Some(letter) = found else {
        return Err(anyhow!("no dead letter lies at {id}\n  next: `orderctl dead-letters list` shows those there are"));
    };
    if json {
        output::print_json(&WholeJson::of(&letter))?;
    } else {
        output::print(&letters::whole(&letter)?)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What went wrong, and what to do next.
fn failed(kafka: &str, error: ReadError) -> anyhow::Error {
    let next = match &error {
        ReadError::Brokers(_) => "is `orderctl up` or Kafka running? Or pass --kafka.",
        ReadError::NoSuchTopic(_) => {
            "the services create it when they start. Does --kafka name the right brokers, and the id a topic such as \
             orders.v1.dlq?"
        }
        ReadError::Stalled { .. } => "try again in a moment.",
    };
    anyhow!("{kafka}: {error}\n  next: {next}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brokers_are_hosts_with_ports() {
        for right in ["127.0.0.1:19092", "a:1,b:2", "[::1]:9092", "a:1, b:2"] {
            assert_eq!(parse_servers(right), Ok(right.to_owned()));
        }
        for wrong in ["", "localhost", ":1", "a:1,", "a:x"] {
            assert!(parse_servers(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn missing_topic_says_who_makes_it() {
        let text = failed("h:1", ReadError::NoSuchTopic("orders.v1.dlq".to_owned())).to_string();
        assert!(text.starts_with("h:1: there is no topic orders.v1.dlq\n  next: the services create it"), "{text}");
    }
}
