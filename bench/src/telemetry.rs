//! P6 and P7: what telemetry costs, and what it costs when its collector is ill.
//!
//! All sides place the same orders through the same programs with all metrics and logs on. What differs is how many traces
//! are recorded and what takes them: a collector of this program's own, which throws them away, so that nobody's storage
//! is measured along.

pub(crate) mod collector;

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use figures::goal::{Bound, Goal, Verdict};
use figures::spread::{Spread, median};
use figures::table::{row, table};
use serde::Serialize;
use tests::proxy::Proxy;
use tests::service::Service;

use self::collector::{Collector, Manner};
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

    fn settings(self, collectors: &Collectors) -> [(&'static str, String); 4] {
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
            ("OTEL_SDK_DISABLED", disabled.to_owned()),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio".to_owned()),
            ("OTEL_TRACES_SAMPLER_ARG", share.to_owned()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.clone()),
        ]
    }
}

struct Collectors {
    well: Collector,
    slow: Collector,
    hung: Collector,
    nowhere: String,
}

/// All goals, and what they were computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Telemetry {
    verdicts: Vec<Verdict>,
    /// Every trace ÷ off.
    all_to_off: Spread,
    rounds: Vec<Round>,
}

#[derive(Debug, Serialize)]
struct Round(BTreeMap<Side, Measured>);

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Measured {
    placed: Placed,
    /// Of both services, from their start.
    dropped_spans: f64,
    /// Of both services, from the end of the warm-up to the end of the load.
    grown_mebibytes: f64,
}

impl Round {
    fn ratio(&self, of: Side, to: Side) -> f64 {
        self.0[&of].placed.per_second / self.0[&to].placed.per_second
    }

    fn grown_beyond_well(&self, side: Side) -> f64 {
        self.0[&side].grown_mebibytes - self.0[&Side::OnePercent].grown_mebibytes
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Telemetry> {
    let collectors = Collectors {
        well: Collector::start(Manner::Well).await?,
        slow: Collector::start(Manner::Slow).await?,
        hung: Collector::start(Manner::Hung).await?,
        // A proxy that is not open does not listen, and nobody else gets its port.
        nowhere: format!("http://127.0.0.1:{}", Proxy::to(0).port),
    };
    let before = [rig.platform.orders.environment().clone(), rig.platform.inventory.environment().clone()];
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("telemetry, round {number} of {}", rig.options.pairs));
        // Whoever comes first may find a faster or a slower disk: the sides take turns.
        let mut sides = SIDES;
        sides.rotate_left(usize::try_from(number).context("a round has a small number")? % SIDES.len());
        let mut round = BTreeMap::new();
        for side in sides {
            round.insert(side, one(rig, side, &collectors).await?);
        }
        rounds.push(Round(round));
    }
    rig.services_down().await?;
    for (service, before) in [&mut rig.platform.orders, &mut rig.platform.inventory].into_iter().zip(before) {
        for (name, _) in Side::Off.settings(&collectors) {
            service.unset(name);
        }
        for (name, value) in before {
            service.set(&name, value);
        }
    }
    let of = |figure: &dyn Fn(&Round) -> f64| rounds.iter().map(figure).collect::<Vec<f64>>();
    let mut verdicts = vec![
        ON.judge(of(&|round| round.ratio(Side::OnePercent, Side::Off))),
        DROPPED.judge(of(&|round| round.0[&Side::OnePercent].dropped_spans)),
    ];
    verdicts.extend(ILL.map(|(side, goal)| goal.judge(of(&|round| round.ratio(side, Side::OnePercent)))));
    verdicts.extend(GROWN.map(|(side, goal)| goal.judge(of(&|round| round.grown_beyond_well(side)))));
    let all_to_off = Spread::of(of(&|round| round.ratio(Side::All, Side::Off)));
    Ok(Telemetry { verdicts, all_to_off, rounds })
}

async fn one(rig: &mut Rig, side: Side, collectors: &Collectors) -> Result<Measured> {
    rig.services_down().await?;
    for (name, value) in side.settings(collectors) {
        rig.platform.orders.set(name, value.clone());
        rig.platform.inventory.set(name, value);
    }
    rig.services_up().await?;
    let memory_before = memory(rig).await;
    let placed = rig.place(None).await?;
    let dropped = async |service: &Service| service.metrics().await.sum("telemetry_dropped_spans_total", &[]);
    let dropped_spans = dropped(&rig.platform.orders).await + dropped(&rig.platform.inventory).await;
    Ok(Measured { placed, dropped_spans, grown_mebibytes: memory(rig).await - memory_before })
}

/// Of both services, in MiB.
async fn memory(rig: &Rig) -> f64 {
    let of = async |service: &Service| service.metrics().await.sum("process_resident_memory_bytes", &[]);
    (of(&rig.platform.orders).await + of(&rig.platform.inventory).await) / (1_024.0 * 1_024.0)
}

impl Telemetry {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row(["side", "orders/s", "p50 ms", "p99 ms", "CPU µs", "spans dropped", "MiB more"])];
        for side in SIDES {
            let of = |figure: &dyn Fn(&Measured) -> f64| -> Vec<f64> {
                self.rounds.iter().map(|round| figure(&round.0[&side])).collect()
            };
            let cpu = |measured: &Measured| {
                ["order-svc", "inventory-svc"].map(|part| measured.placed.cost.cpu_microseconds[part]).iter().sum()
            };
            let rates = Spread::of(of(&|measured| measured.placed.per_second));
            rows.push(vec![
                side.name().to_owned(),
                format!("{:.0} ({:.0} to {:.0})", rates.median, rates.least, rates.greatest),
                format!("{:.1}", median(of(&|measured| measured.placed.report.latency_milliseconds.p50))),
                format!("{:.1}", median(of(&|measured| measured.placed.report.latency_milliseconds.p99))),
                format!("{:.0}", median(of(&cpu))),
                format!("{:.0}", median(of(&|measured| measured.dropped_spans))),
                format!("{:.1}", median(of(&|measured| measured.grown_mebibytes))),
            ]);
        }
        let verdicts: Vec<Vec<String>> = self.verdicts.iter().map(Verdict::row).collect();
        format!(
            "Telemetry: medians over {} rounds; CPU of both services, per order\n\n{}\n\n100 % / off: {}\n\n{}",
            self.rounds.len(),
            table(&rows, &[0]),
            self.all_to_off,
            table(&verdicts, &[0, 1, 2, 3, 4]),
        )
    }
}
