//! `orderctl dead-letters replay`.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::anyhow;
use clap::Args;
use clap::builder::FalseyValueParser;
use messaging::dead_letter::{Decision, Letter, Place, Plan, Reader, ReplayError, Replayer};

use super::{Filter, failed};
use crate::letters::{Outcome, Report};
use crate::{output, telemetry};

/// How long the collector may take for the last spans.
const LAST_SPANS: Duration = Duration::from_secs(2);

/// Send dead letters back to the topic they came from; exit code 1 if one can't go
///
/// Each goes as the record that it was, in a trace of its own that links to the one it came from. Of copies
/// of an event only the first goes. The letters stay where they are, and doing it again changes nothing:
/// consumers ignore an event that they know.
#[derive(Debug, Args)]
#[command(
    verbatim_doc_comment,
    after_help = "\
Examples:
  orderctl dead-letters replay orders.v1.dlq/4@17
  orderctl dead-letters replay --all --reason impossible_transition --dry-run"
)]
pub(super) struct ReplayArguments {
    /// Which: their names in `list`
    #[arg(value_name = "ID", required_unless_present = "all", conflicts_with_all = ["all", "Filter"])]
    ids: Vec<Place>,
    /// All that there are now, of the topic, the reason and the time that are given
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    filter: Filter,
    /// Only say what would be sent
    #[arg(long)]
    dry_run: bool,
    /// Collector of traces, OTLP over gRPC
    #[arg(long, env = "OTEL_EXPORTER_OTLP_ENDPOINT", default_value = "http://127.0.0.1:4317", value_name = "URL")]
    otlp: String,
    /// No traces: what is sent has no trace context
    #[arg(long, env = "OTEL_SDK_DISABLED", value_parser = FalseyValueParser::new())]
    no_traces: bool,
}

/// A replay under way.
struct Run {
    /// None in a dry run.
    replayer: Option<Replayer>,
    plan: Plan,
    report: Report,
    /// Whether each letter has a line at once.
    lines: bool,
}

impl ReplayArguments {
    pub(super) async fn run(self, kafka: &str, json: bool) -> anyhow::Result<ExitCode> {
        let telemetry = if self.dry_run { None } else { Some(telemetry::start(&self.otlp, self.no_traces)?) };
        let replayer = if self.dry_run { None } else { Some(Replayer::new(kafka)?) };
        let mut run = Run { replayer, plan: Plan::default(), report: Report::new(self.dry_run), lines: !json };
        let result = self.replay(kafka, &mut run).await;
        if let Some(telemetry) = telemetry {
            // It blocks; a collector that is away costs spans and nothing else.
            tokio::task::spawn_blocking(move || telemetry.shutdown(LAST_SPANS)).await?;
        }
        // What was done is said before what went wrong.
        if json {
            output::print_json(&run.report)?;
        } else {
            output::print(&run.report.sum())?;
        }
        result?;
        Ok(if run.report.is_clean() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    async fn replay(&self, kafka: &str, run: &mut Run) -> anyhow::Result<()> {
        let reader = Reader::new(kafka);
        for id in &self.ids {
            match reader.find(id).await.map_err(|error| failed(kafka, error))? {
                Some(letter) => run.take(kafka, &letter).await?,
                None => run.note(id, Outcome::Missing)?,
            }
        }
        let topics = if self.all { self.filter.topics() } else { Vec::new() };
        for topic in topics {
            let mut letters = reader.letters(&topic).await.map_err(|error| failed(kafka, error))?;
            while let Some(letter) = letters.next().await.map_err(|error| failed(kafka, error))? {
                if self.filter.takes(&letter) {
                    run.take(kafka, &letter).await?;
                }
            }
        }
        Ok(())
    }
}

impl Run {
    /// Sends a letter, or says why not.
    async fn take(&mut self, kafka: &str, letter: &Letter) -> anyhow::Result<()> {
        let outcome = match (self.plan.decide(letter), &self.replayer) {
            (Decision::CopyOf(first), _) => Outcome::Copy(first),
            (Decision::Never(why), _) => Outcome::Never(why),
            (Decision::Send(topic), None) => Outcome::WouldGo(topic.to_owned()),
            (Decision::Send(topic), Some(replayer)) => match replayer.replay(letter, topic).await {
                Ok(replayed) => Outcome::Sent(replayed),
                Err(error @ ReplayError::Refused(_)) => Outcome::Refused(error.to_string()),
                Err(error @ ReplayError::Brokers(_)) => {
                    return Err(anyhow!(
                        "{kafka}: {}: {error}\n  next: replay again once Kafka takes records; what was sent already \
                         does no harm",
                        letter.place()
                    ));
                }
            },
        };
        self.note(&letter.place(), outcome)
    }

    fn note(&mut self, id: &Place, outcome: Outcome) -> anyhow::Result<()> {
        let line = self.report.add(id, outcome);
        if self.lines {
            output::print(&line)?;
        }
        Ok(())
    }
}
