//! R6: does the outbox decay under a long foreign transaction?
//!
//! A million events go through our outbox and our relay, a hundred thousand at a time; once as it is, and once while another
//! session on the same database keeps a snapshot from before the first of them, so that no dead row can be removed. Then
//! that session ends, and the table is watched until it has recovered.

mod table_state;

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use figures::table::{row, table};
use serde::Serialize;
use sqlx::{Connection as _, Executor as _, PgConnection};

use self::table_state::TableState;
use crate::cost::float;
use crate::relay::backlog::{Backlog, Shape};
use crate::relay::process::{self, Kind};
use crate::relay::publish;
use crate::rig::{Rig, progress};

/// Events between two looks.
const STEP: u32 = 100_000;
/// As the look before it, autovacuum comes once a minute at most.
const RECOVERS_WITHIN: Duration = Duration::from_secs(150);
/// Sessions report what they have counted once a second at most.
const COUNTS_ARRIVE: Duration = Duration::from_millis(1_500);

/// What was seen.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Outbox {
    events_of_a_step: u32,
    undisturbed: Vec<Step>,
    /// With a foreign snapshot.
    disturbed: Vec<Step>,
    /// The step after the foreign transaction has ended.
    released: Step,
    /// From the end of the foreign transaction until the dead rows are removed; `None` if they are not in time.
    recovered_after_seconds: Option<f64>,
    recovered: TableState,
}

/// A step, and the table after it.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Step {
    per_second: f64,
    /// Of Postgres, for each event.
    postgres_microseconds: f64,
    /// Entries of the index that all its readers have passed, for each event.
    index_entries: f64,
    table: TableState,
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<Outbox> {
    rig.services_down().await?;
    let steps = rig.options.events.div_ceil(STEP).max(1);
    let events_of_a_step = rig.options.events.min(STEP);
    progress(&format!("outbox, undisturbed, {steps} steps"));
    let mut calm = Side::start(rig, "bench_outbox", events_of_a_step).await?;
    let undisturbed = calm.steps(rig, steps).await?;
    calm.end().await?;

    progress(&format!("outbox, with a foreign snapshot, {steps} steps"));
    let mut side = Side::start(rig, "bench_outbox_snapshot", events_of_a_step).await?;
    let foreign = Foreign::begin(&side.backlog.url).await?;
    let disturbed = side.steps(rig, steps).await?;
    foreign.connection.close().await?;
    let ended = Instant::now();
    let released = side.step(rig).await?;
    progress("outbox, waiting for autovacuum");
    let (recovered, recovered_after_seconds) = side.recovers(ended).await?;
    side.end().await?;
    Ok(Outbox { events_of_a_step, undisturbed, disturbed, released, recovered_after_seconds, recovered })
}

/// Somebody else's transaction, which never touches the outbox.
struct Foreign {
    connection: PgConnection,
}

impl Foreign {
    async fn begin(url: &str) -> Result<Self> {
        let mut connection = PgConnection::connect(url).await?;
        connection.execute("begin isolation level repeatable read").await?;
        connection.execute("select count(*) from orders").await?;
        Ok(Self { connection })
    }
}

/// A database with a relay of its own.
struct Side {
    backlog: Backlog,
    relay: tokio::process::Child,
}

impl Side {
    async fn start(rig: &Rig, database: &str, events: u32) -> Result<Self> {
        let backlog = Backlog::stage(&rig.platform, database, events).await?;
        let relay = process::start(Kind::Ours, &backlog.url, rig.platform.kafka(), &rig.options.settings).await?;
        Ok(Self { backlog, relay })
    }

    async fn steps(&mut self, rig: &mut Rig, count: u32) -> Result<Vec<Step>> {
        let mut steps = Vec::new();
        for _ in 0..count {
            steps.push(self.step(rig).await?);
        }
        Ok(steps)
    }

    async fn step(&mut self, rig: &mut Rig) -> Result<Step> {
        let pid = self.relay.id().context("the relay runs")?;
        let passed = table_state::index_entries(self.backlog.connection()).await?;
        let published = publish(rig, &mut self.backlog, Shape::Transactions, pid).await?;
        tokio::time::sleep(COUNTS_ARRIVE).await;
        let passed = table_state::index_entries(self.backlog.connection()).await? - passed;
        Ok(Step {
            per_second: published.per_second,
            postgres_microseconds: published.cpu_microseconds["postgres"],
            index_entries: passed / float(u64::from(self.backlog.events())),
            table: TableState::look(self.backlog.connection()).await?,
        })
    }

    /// Waits until autovacuum has removed most of the dead rows.
    async fn recovers(&mut self, ended: Instant) -> Result<(TableState, Option<f64>)> {
        let before = TableState::look(self.backlog.connection()).await?;
        loop {
            let now = TableState::look(self.backlog.connection()).await?;
            if now.dead_rows <= before.dead_rows / 10 {
                return Ok((now, Some(ended.elapsed().as_secs_f64())));
            }
            if ended.elapsed() > RECOVERS_WITHIN {
                return Ok((now, None));
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
        }
    }

    async fn end(mut self) -> Result<()> {
        Ok(self.relay.kill().await?)
    }
}

impl Step {
    fn cells(&self) -> Vec<String> {
        let mut cells = vec![
            format!("{:.0}", self.per_second),
            format!("{:.1}", self.postgres_microseconds),
            format!("{:.2}", self.index_entries),
        ];
        cells.extend(self.table.cells());
        cells
    }
}

impl Outbox {
    pub(crate) fn text(&self) -> String {
        let figures = ["events/s", "postgres µs", "index entries", "MB", "dead rows", "look ms"];
        let side = |name: &str, steps: &[Step]| {
            let mut rows = vec![[row([name]), row(figures)].concat()];
            rows.extend((1..).zip(steps).map(|(number, step)| {
                let events = u64::from(self.events_of_a_step) * number;
                [vec![events.to_string()], step.cells()].concat()
            }));
            table(&rows, &[])
        };
        let (calm, disturbed) = (side("undisturbed", &self.undisturbed), side("with a snapshot", &self.disturbed));
        let after = [
            [row(["after its end"]), row(figures)].concat(),
            [row(["next step"]), self.released.cells()].concat(),
            [row(["vacuumed"]), vec!["–".to_owned(); 3], self.recovered.cells().to_vec()].concat(),
        ];
        let recovered = self.recovered_after_seconds.map_or_else(
            || format!("autovacuum has not removed the dead rows within {} s", RECOVERS_WITHIN.as_secs()),
            |seconds| {
                format!("autovacuum has removed the dead rows {seconds:.0} s after the foreign transaction's end")
            },
        );
        let after = table(&after, &[]);
        format!("Outbox under a long foreign transaction\n\n{calm}\n\n{disturbed}\n\n{after}\n\n{recovered}")
    }
}
