//! What sharing commits costs somebody who is alone: the first transaction of an order through the writer, against the same
//! statements in a transaction that is begun and committed for it.
//!
//! Both run in this process, on the same pool, in a database of their own, and take turns in blocks.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use figures::goal::{Bound, Goal, Verdict};
use figures::load::LoadReport;
use figures::spread::median;
use figures::table::{row, table};
use messaging::relay::RelayWaker;
use observability::propagation::TraceHeaders;
use order_svc::domain::decide::NewOrder;
use order_svc::domain::ledger::{Command, Outcome};
use order_svc::news::News;
use order_svc::store::{OrderStore, Submitted, Written};
use postgres::{Database, DatabaseSettings, Writer};
use proto::values::{CustomerId, OrderId, Quantity, RequestId, Sku};
use runtime::settings::SettingsReader;
use runtime::tasks::{Supervisor, TaskGroup};
use serde::Serialize;
use sqlx::Executor as _;
use uuid::Uuid;

use crate::rig::{HOT_SKU, Rig, progress};

const GOAL: Goal =
    Goal { name: "–", ratio: "p50, writer / own transaction", bound: Bound::AtMost, must: 1.3, aim: None };
const DATABASE: &str = "bench_one_caller";
/// Orders of one side before it is the other's turn.
const BLOCK: usize = 200;
const STOP_LIMIT: Duration = Duration::from_secs(10);

/// The goal, and what it was computed from.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OneCaller {
    verdict: Verdict,
    rounds: Vec<Round>,
    /// A whole PlaceOrder over gRPC by one caller.
    place_order: LoadReport,
}

#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Round {
    orders_of_each: usize,
    writer: Latency,
    own_transaction: Latency,
    /// Median of the ratios of the p50 of neighbouring blocks: both of a pair had the same disk.
    ratio: f64,
    fsync_milliseconds: f64,
}

/// In milliseconds.
#[derive(Clone, Copy, Debug, Serialize)]
struct Latency {
    p50: f64,
    mean: f64,
}

impl Latency {
    fn of(took: &[Duration]) -> Self {
        let milliseconds = took.iter().map(|took| took.as_secs_f64() * 1_000.0);
        let mean = took.iter().sum::<Duration>().as_secs_f64() * 1_000.0 / crate::cost::float(took.len() as u64);
        Self { p50: median(milliseconds), mean }
    }
}

pub(crate) async fn measure(rig: &mut Rig) -> Result<OneCaller> {
    rig.services_up().await?;
    progress("one caller of PlaceOrder");
    let (place_order, _) = rig.load("place", None, 1, rig.options.seconds).await?;
    rig.services_down().await?;

    let postgres = &rig.platform.stack.postgres;
    postgres.create_database(DATABASE).await?;
    let sides = Sides::start(&postgres.database_url(DATABASE), &rig.options.settings).await?;
    sides.block_of_each(&mut [Vec::new(), Vec::new()]).await?;
    sides.database.writes().execute("vacuum analyze orders").await?;
    let mut rounds = Vec::new();
    for number in 1..=rig.options.pairs {
        progress(&format!("one-caller, round {number} of {}", rig.options.pairs));
        let fsync_milliseconds = rig.even_out().await?;
        let end = Instant::now() + Duration::from_secs(rig.options.seconds.into());
        let mut took = [Vec::new(), Vec::new()];
        let mut ratios = Vec::new();
        while Instant::now() < end {
            let mut blocks = [Vec::new(), Vec::new()];
            sides.block_of_each(&mut blocks).await?;
            let [writer, own] = blocks.each_ref().map(|block| Latency::of(block).p50);
            ratios.push(writer / own);
            took.iter_mut().zip(blocks).for_each(|(took, block)| took.extend(block));
        }
        let [writer, own_transaction] = took.each_ref().map(|took| Latency::of(took));
        let (orders_of_each, ratio) = (took[0].len(), median(ratios));
        rounds.push(Round { orders_of_each, writer, own_transaction, ratio, fsync_milliseconds });
    }
    sides.stop().await;
    let verdict = GOAL.judge(rounds.iter().map(|round| round.ratio));
    Ok(OneCaller { verdict, rounds, place_order })
}

/// Two ways to write the same orders.
struct Sides {
    database: Database,
    store: OrderStore,
    writer: Writer<OrderStore>,
    writing: TaskGroup,
}

impl Sides {
    async fn start(url: &str, settings: &[(String, String)]) -> Result<Self> {
        let url = ("DATABASE_URL".to_owned(), url.to_owned());
        let mut reader = SettingsReader::new(None, settings.iter().cloned().chain([url]));
        let database = Database::connect_lazily(DatabaseSettings::read(&mut reader), "bench");
        sqlx::migrate!("../migrations/orders").run(database.writes()).await?;
        // Nobody listens to either.
        let store = OrderStore::new(RelayWaker::default(), Arc::new(News::default()), Duration::from_secs(10));
        let writing = TaskGroup::new("writer", &Supervisor::new());
        let writer = Writer::start(Arc::new(store.clone()), &database, &writing);
        Ok(Self { database, store, writer, writing })
    }

    /// Adds how long each order of two blocks took: through the writer, and in a transaction of its own.
    async fn block_of_each(&self, took: &mut [Vec<Duration>; 2]) -> Result<()> {
        for _ in 0..BLOCK {
            let placement = new_order()?;
            let begun = Instant::now();
            let written = self.writer.submit(placement).await.context("the writer")?;
            took[0].push(begun.elapsed());
            check(&written)?;
        }
        for _ in 0..BLOCK {
            let placement = [new_order()?];
            let begun = Instant::now();
            let mut transaction = self.database.begin().await?;
            let written = self.store.write(&mut transaction, &placement).await?;
            transaction.commit().await?;
            self.store.announce(&written);
            took[1].push(begun.elapsed());
            ensure!(written.len() == 1, "one command has one outcome");
            written.iter().try_for_each(check)?;
        }
        Ok(())
    }

    async fn stop(self) {
        self.writing.stop(STOP_LIMIT).await;
        self.database.close().await;
    }
}

/// As the load generator makes them and `Orders::place` completes them.
fn new_order() -> Result<Submitted> {
    let new = NewOrder {
        order_id: OrderId::from_uuid(Uuid::now_v7()),
        customer_id: CustomerId::parse("load")?,
        request_id: Some(RequestId::parse(&Uuid::new_v4().to_string())?),
        fingerprint: [7; 32],
        lines: vec![(Sku::parse(HOT_SKU)?, Quantity::parse(1)?)],
    };
    Ok(Submitted { command: Command::Place(new), trace: TraceHeaders::default(), known: None })
}

fn check(written: &Written) -> Result<()> {
    match &written.outcome {
        Outcome::Order { transition: Some(_), replayed: false, .. } => Ok(()),
        other => bail!("an order was not placed: {other:?}"),
    }
}

impl OneCaller {
    pub(crate) fn text(&self) -> String {
        let mut rows = vec![row([
            "round",
            "orders of each",
            "writer p50 ms",
            "own p50 ms",
            "ratio",
            "writer mean",
            "own mean",
            "ratio",
            "fsync ms",
        ])];
        for (number, round) in (1..).zip(&self.rounds) {
            let Round { orders_of_each, writer, own_transaction: own, ratio, fsync_milliseconds } = round;
            rows.push(vec![
                number.to_string(),
                orders_of_each.to_string(),
                format!("{:.3}", writer.p50),
                format!("{:.3}", own.p50),
                format!("{ratio:.2}"),
                format!("{:.3}", writer.mean),
                format!("{:.3}", own.mean),
                format!("{:.2}", writer.mean / own.mean),
                format!("{fsync_milliseconds:.2}"),
            ]);
        }
        let latency = self.place_order.latency_milliseconds;
        format!(
            "One caller: the first transaction of an order\n\n{}\n\n{}\n\nfor information: a whole PlaceOrder over gRPC takes one caller {:.2} ms (p50), {:.2} ms (p99)",
            table(&rows, &[]),
            table(&[self.verdict.row()], &[0, 1, 2, 3, 4]),
            latency.p50,
            latency.p99,
        )
    }
}
