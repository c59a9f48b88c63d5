//! P6 and P7: what telemetry costs, and what it costs when its collector is ill.
//!
//! All sides place the same orders through the same programs with all metrics and logs on. What differs is how many traces
//! are recorded and what takes them: a collector of this program's own, which throws them away, so that nobody's storage
//! is measured along.
//!
//! Each side is a platform of its own, with servers of its own, and they are loaded in turns of a few seconds. The speed
//! of a machine drifts within minutes: restarting one platform for one side after the other puts a minute between what is
//! compared, and differences of two percent drown.

pub(crate) mod collector;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context as _, Result};
use figures::goal::{Bound, Goal, Verdict};
use figures::spread::{Spread, median};
use figures::table::{row, table};
use serde::Serialize;
use tests::proxy::Proxy;
use tests::service::Service;

use self::collector::{Collector, Manner};
use crate::options::{Benchmark, Options};
use crate::rig::{Placed, Rig, progress};

const ON: Goal = Goal { name: "P6", ratio: "1 % / off", bound: Bound::AtLeast, must: 0.95, aim: Some(0.98) };
const DROPPED: Goal = Goal { name: "P6", ratio: "spans dropped at 1 %", bound: Bound::AtMost, must: 0.0, aim: None };
const ILL: [(Side, Goal); 3] = [
    (Side::Dead, Goal { name: "P7", ratio: "collector dead / well", bound: Bound::AtLeast, must: 0.98, aim: None }),
    (Side::Hung, Goal { name: "P7", ratio: "collector hung / well", bound: Bound::AtLeast, must: 0.98, aim: None }),
    (Side::Slow, Goal { name: "P7", ratio: "collector slow / well", bound: Bound::AtLeast, must: 0.98, aim: None }),
];
const GROWN: [(Side, Goal); 3] = [
    (Side::Dead, Goal { name: "P7", ratio: "MiB more than well, dead", bound: Bound::AtMost, must: 16.0, aim: None }),
    (Side::Hung, Goal { name: "P7", ratio: "MiB more than well, hung", bound: Bound::AtMost, must: 16.0, aim: None }),
    (Side::Slow, Goal { name: "P7", ratio: "MiB more than well, slow", bound: Bound::AtMost, must: 16.0, aim: None }),
];
/// Of one side, before the next has its turn.
const TURN_SECONDS: u32 = 3;

/// How telemetry is set up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
enum Side {
    /// OTEL_SDK_DISABLED.
    Off,
    /// One trace in a hundred, to a collector that is well.
    OnePercent,
    /// Every trace, to the same.
    All,
    /// One in a hundred, to an address where nothing listens.
    Dead,
    /// One in a hundred, to a collector that never answers.
    Hung,
    /// One in a hundred, to a collector that answers late.
    Slow,
}

const SIDES: [Side; 6] = [Side::Off, Side::OnePercent, Side::All, Side::Dead, Side::Hung, Side::Slow];

impl Side {
    fn name(self) -> &'static str {
        match self {
            Self::Off => "off",
            Self::OnePercent => "1 %",
            Self::All => "100 %",
            Self::Dead => "1 %, dead",
            Self::Hung => "1 %, hung",
            Self::Slow => "1 %, slow",
        }
    }

    fn settings(self, collectors: &Collectors) -> [(String, String); 4] {
        let (disabled, share) = match self {
            Self::Off => ("true", "0.01"),
            Self::All => ("false", "1"),
            Self::OnePercent | Self::Dead | Self::Hung | Self::Slow => ("false", "0.01"),
        };
        let collector = match self {
            Self::Off | Self::OnePercent | Self::All => &collectors.well.address,
            Self::Dead => &collectors.nowhere,
            Self::Hung => &collectors.hung.address,
            Self::Slow => &collectors.slow.address,
        };
        [
            ("OTEL_SDK_DISABLED", disabled),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", share),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
    }
}

struct Collectors {
    well: Collector,
    slow: Collector,
    hung: Collector,
    nowhere: String,
}

/// A side's platform, and what stood on its meters.
struct Standing {
    side: Side,
    rig: Rig,
    memory: f64,
    dropped_spans: f64,
}

/// All goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Telemetry {
    verdicts: Vec<Verdict>,
    /// Every trace ÷ off.
    all_to_off: Spread,
    /// From the end of the warm-ups to the end of the last round.
    minutes: f64,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
struct Round(BTreeMap<Side, Measured>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    /// As many as every other side has had.
    turns: Vec<Placed>,
    /// Of both services, in this round.
    dropped_spans: f64,
    /// Of both services, from the end of the warm-up to the end of this round.
    grown_mebibytes: f64,
}

impl Round {
    /// The median over the turns, each with the same one of the other side.
    fn ratio(&self, of: Side, to: Side) -> f64 {
        let turns = self.0[&of].turns.iter().zip(&self.0[&to].turns);
        median(turns.map(|(of, to)| of.per_second / to.per_second))
    }

    fn grown_beyond_well(&self, side: Side) -> f64 {
        self.0[&side].grown_mebibytes - self.0[&Side::OnePercent].grown_mebibytes
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Telemetry> {
    rig.services_down().await?;
    let collectors = Collectors {
        well: Collector::start(Manner::Well).await?,
        slow: Collector::start(Manner::Slow).await?,
        hung: Collector::start(Manner::Hung).await?,
        // A proxy that is not open does not listen, and nobody else gets its port.
        nowhere: format!("http://127.0.0.1:{}", Proxy::to(0).port),
    };
    let mut sides = Vec::new();
    for side in SIDES {
        progress(&format!("telemetry, a platform for the side {:?}", side.name()));
        sides.push(Standing::start(side, &collectors, &rig.options).await?);
    }
    let began = Instant::now();
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("telemetry, round {number} of {}", rig.options.pairs));
        rounds.push(round(&mut sides, rig.options.seconds.div_ceil(TURN_SECONDS)).await?);
    }
    let minutes = began.elapsed().as_secs_f64() / 60.0;
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<f64>>();
    let mut verdicts = vec![
        ON.judge(of(&|round| round.ratio(Side::OnePercent, Side::Off))),
        DROPPED.judge(of(&|round| round.0[&Side::OnePercent].dropped_spans)),
    ];
    verdicts.extend(ILL.map(|(side, goal)| goal.judge(of(&|round| round.ratio(side, Side::OnePercent)))));
    verdicts.extend(GROWN.map(|(side, goal)| goal.judge(of(&|round| round.grown_beyond_well(side)))));
    let all_to_off = Spread::of(of(&|round| round.ratio(Side::All, Side::Off)));
    Ok(Telemetry { verdicts, all_to_off, minutes, rounds })
}

async fn round(sides: &mut [Standing], turns: u32) -> Result<Round> {
    let mut placed: BTreeMap<Side, Vec<Placed>> = BTreeMap::new();
    for _ in 0..turns {
        // Whoever comes first may find another machine than whoever comes last.
        sides.rotate_left(1);
        for standing in &mut *sides {
            placed.entry(standing.side).or_default().push(standing.rig.place(None).await?);
        }
    }
    let mut round = BTreeMap::new();
    for standing in sides {
        let turns = placed.remove(&standing.side).context("every side has had its turns")?;
        round.insert(standing.side, standing.look(turns).await);
    }
    Ok(Round(round))
}

impl Standing {
    async fn start(side: Side, collectors: &Collectors, options: &Options) -> Result<Self> {
        let mut options = Options { benchmark: Some(Benchmark::Telemetry), seconds: TURN_SECONDS, ..options.clone() };
        options.settings.extend(side.settings(collectors));
        let rig = Rig::start(options).await?;
        let (memory, dropped_spans) = (memory(&rig).await, dropped_spans(&rig).await);
        Ok(Self { side, rig, memory, dropped_spans })
    }

    async fn look(&mut self, turns: Vec<Placed>) -> Measured {
        let before = std::mem::replace(&mut self.dropped_spans, dropped_spans(&self.rig).await);
        let grown_mebibytes = memory(&self.rig).await - self.memory;
        Measured { turns, dropped_spans: self.dropped_spans - before, grown_mebibytes }
    }
}

/// Of both services, in MiB.
async fn memory(rig: &Rig) -> f64 {
    sum(rig, "process_resident_memory_bytes").await / (1_024.0 * 1_024.0)
}

async fn dropped_spans(rig: &Rig) -> f64 {
    sum(rig, "telemetry_dropped_spans_total").await
}

/// Of both services.
async fn sum(rig: &Rig, metric: &str) -> f64 {
    let of = async |service: &Service| service.metrics().await.sum(metric, &[]);
    of(&rig.platform.orders).await + of(&rig.platform.inventory).await
}

impl Telemetry {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row(["side", "orders/s", "p50 ms", "p99 ms", "CPU µs", "spans dropped", "MiB more"])];
        for side in SIDES {
            let of_rounds =
                |figure: &dyn Fn(&Measured) -> f64| median(self.rounds.iter().map(|round| figure(&round.0[&side])));
            let of_turns = |figure: &dyn Fn(&Placed) -> f64| {
                Spread::of(self.rounds.iter().flat_map(|round| &round.0[&side].turns).map(figure))
            };
            let cpu = |placed: &Placed| {
                ["order-svc", "inventory-svc"].map(|part| placed.cost.cpu_microseconds[part]).iter().sum()
            };
            let rates = of_turns(&|placed| placed.per_second);
            rows.push(vec![
                side.name().to_owned(),
                format!("{:.0} ({:.0} to {:.0})", rates.median, rates.least, rates.greatest),
                format!("{:.1}", of_turns(&|placed| placed.report.latency_milliseconds.p50).median),
                format!("{:.1}", of_turns(&|placed| placed.report.latency_milliseconds.p99).median),
                format!("{:.0}", of_turns(&cpu).median),
                format!("{:.0}", of_rounds(&|measured| measured.dropped_spans)),
                format!("{:.1}", of_rounds(&|measured| measured.grown_mebibytes)),
            ]);
        }
        let verdicts: Vec<Vec<String>> = self.verdicts.iter().map(Verdict::row).collect();
        let turns: usize = self.rounds.iter().map(|round| round.0[&Side::Off].turns.len()).sum();
        format!(
            "Telemetry: {turns} turns of {TURN_SECONDS} s a side in {} rounds, {:.1} minutes; CPU of both services, per \
             order\n\n{}\n\n100 % / off: {}\n\n{}",
            self.rounds.len(),
            self.minutes,
            table(&rows, &[0]),
            self.all_to_off,
            table(&verdicts, &[0, 1, 2, 3, 4]),
        )
    }
}
