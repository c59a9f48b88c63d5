//! Faults under load, at moments and places drawn from a seed, and what became of the promises made meanwhile.
//!
//! - [`world`]: the platform with further replicas, and a proxy on every connection when those are to suffer.
//! - [`fault`]: what can go wrong, and how it is drawn.
//! - [`callers`]: who places, cancels and fulfils orders all the time. [`journal`]: what they have asked for and been
//!   promised, on disk before it is asked for.
//! - [`meter`]: how many orders were decided when. [`report`]: what the faults have cost.
//!
//! A run: the callers work; one fault after the other is inflicted and healed, with calm in between; the callers stop;
//! the platform comes to rest; the journal and the [audit] are checked. The same seed gives the same faults in the same
//! order, but the machine decides what they meet.

pub mod callers;
pub mod fault;
pub mod journal;
pub mod meter;
pub mod report;
pub mod world;

use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rand::rngs::StdRng;
use rand::{RngExt as _, SeedableRng as _};

use self::callers::Callers;
use self::fault::{Fault, Kind};
use self::journal::Journal;
use self::meter::Meter;
use self::report::{Report, Suffered};
use self::world::World;
use crate::audit;
use crate::waiting::within;

/// How long a healed platform may take until orders are decided and published again.
const RECOVERY_LIMIT: Duration = Duration::from_secs(60);
/// An event that waits longer is a backlog.
const FRESH: f64 = 1.0;
const REST_LIMIT: Duration = Duration::from_secs(180);
const LOOK: Duration = Duration::from_millis(50);

/// What is done how long.
#[derive(Clone, Debug)]
pub struct Options {
    /// Of the faults.
    pub seed: u64,
    /// No fault begins after this.
    pub duration: Duration,
    /// No more faults than this.
    pub most_faults: usize,
    /// Which.
    pub kinds: Vec<Kind>,
    /// How long a killed broker stays away, instead of a moment.
    pub kafka_away: Option<Duration>,
    /// Callers at the same time.
    pub callers: usize,
    /// Of each service.
    pub replicas: usize,
    /// Between a healing and the next fault, over which throughput is compared with what it was before.
    pub after: Duration,
    /// Before a fault: what throughput is compared with.
    pub before: Duration,
}

/// Runs it: `program` holds both services. What happens is told to `say`, line by line.
///
/// # Errors
/// The platform can't be started, or a fault not be done.
pub async fn run(program: &Path, options: &Options, say: impl Fn(&str)) -> Result<Report> {
    let mut chance = StdRng::seed_from_u64(options.seed);
    let with_proxies = options.kinds.contains(&Kind::Network);
    let mut world = World::start(program, options.replicas, with_proxies).await?;
    let journal = Journal::create(&world.platform.folder().join("journal")).await?;
    let meter = Meter::default();
    let callers = Callers::start(&mut chance, world.shops(), options.callers, &journal, &meter).await;

    let begun = Instant::now();
    let mut report = Report::default();
    tokio::time::sleep(options.before).await;
    while begun.elapsed() < options.duration && report.suffered.len() < options.most_faults && !callers.have_findings()
    {
        // Faults must not keep step with anything that happens each second.
        tokio::time::sleep(chance.random_range(Duration::ZERO..Duration::from_secs(1))).await;
        let mut fault = Fault::draw(&mut chance, &options.kinds, &world);
        if let (Fault::KillKafka(away), Some(time)) = (&mut fault, options.kafka_away) {
            *away = time;
        }
        let suffered = suffer(&mut world, &meter, &fault, options).await?;
        say(&format!("{:4} {fault}: {suffered}", begun.elapsed().as_secs()));
        report.suffered.push((fault.kind(), suffered));
        if suffered.recovery >= RECOVERY_LIMIT {
            report.findings.push(format!("no recovery within {RECOVERY_LIMIT:?} from: {fault}"));
            break;
        }
    }
    let customer = callers.customer.clone();
    report.findings.extend(callers.stop().await);
    report.decided = meter.total();
    say("the callers have stopped; waiting for rest, then the audit");
    world.ready().await;
    report.journal =
        journal.check(&world.platform, &customer).await.map_err(|finding| report.find(&finding)).unwrap_or_default();
    match audit::check(&world.platform, REST_LIMIT).await {
        Err(finding) => report.find(&finding),
        Ok((found, letters)) => {
            report.found = Some(found);
            for place in world.poison.difference(&letters) {
                report.findings.push(format!("I6 is broken: poison at {place:?} has no dead letter"));
            }
            for place in letters.difference(&world.poison) {
                report.findings.push(format!("a record of our own was given up: {place:?}"));
            }
        }
    }
    if !report.findings.is_empty() {
        world.platform.show_logs();
    }
    Ok(report)
}

/// One fault: what was before, the fault, its healing, what is after.
async fn suffer(world: &mut World, meter: &Meter, fault: &Fault, options: &Options) -> Result<Suffered> {
    let before = meter.rate_of_last(options.before);
    let begun = Instant::now();
    world.inflict(fault).await.with_context(|| format!("{fault} can't be done"))?;
    world.heal(fault).await.with_context(|| format!("{fault} can't be healed"))?;
    // A service was started just now and is not ready yet; a server answers already.
    let healed = Instant::now();
    let healing = meter.total();
    let meanwhile = meter.rate_between(begun, healed);
    let recovered = within(RECOVERY_LIMIT, async || {
        anyhow::ensure!(meter.total() > healing, "no order was decided");
        let oldest = world.oldest_event().await?;
        anyhow::ensure!(oldest < FRESH, "an event waits for {oldest:.1} s");
        Ok(healed.elapsed())
    });
    let recovery = recovered.await.unwrap_or(RECOVERY_LIMIT);
    while healed.elapsed() < options.after {
        tokio::time::sleep(LOOK).await;
    }
    let after = meter.rate_between(healed, healed + options.after);
    Ok(Suffered { lasted: healed - begun, meanwhile, recovery, before, after })
}
