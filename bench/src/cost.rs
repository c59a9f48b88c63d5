//! What an order costs: processor time by process, bytes of write-ahead log, fsyncs.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context as _, Result};
use figures::cpu;
use figures::spread::median;
use serde::Serialize;
use sqlx::PgConnection;
use tests::platform::Platform;

/// Whose processor time is counted. `caller` is the load generator: orderctl or pgbench.
pub(crate) const PARTS: [&str; 6] = ["caller", "order-svc", "inventory-svc", "postgres", "kafka", "jaeger"];

/// What stands on the meters at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Readings {
    cpu: [Duration; PARTS.len()],
    log_bytes: f64,
}

/// What one order cost.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cost {
    pub(crate) cpu_microseconds: BTreeMap<&'static str, f64>,
    pub(crate) log_bytes: f64,
    /// Of the write-ahead log; `None` where this version of Postgres does not count them.
    pub(crate) fsyncs: Option<f64>,
}

impl Readings {
    /// Callers count once they have ended, so the readings of a measurement are taken before one starts and after it ended.
    pub(crate) async fn take(platform: &Platform, connection: &mut PgConnection) -> Result<Self> {
        let of = |pid: Option<u32>| pid.map_or(Ok(Duration::ZERO), cpu::of_process);
        let postgres = platform.stack.postgres.pid().context("Postgres runs")?;
        let cpu = [
            cpu::of_ended_children()?,
            of(platform.orders.pid())?,
            of(platform.inventory.pid())?,
            cpu::of_tree(postgres)?,
            of(platform.stack.kafka.pid())?,
            of(platform.stack.traces.pid())?,
        ];
        let log_bytes = sqlx::query_scalar("select (pg_current_wal_insert_lsn() - '0/0')::float8");
        Ok(Self { cpu, log_bytes: log_bytes.fetch_one(connection).await.context("the log's position")? })
    }

    /// What was used since `before`, for each of `orders`.
    pub(crate) fn per_order(&self, before: &Self, orders: u64) -> Cost {
        let orders = float(orders);
        let used = self.cpu.iter().zip(before.cpu).map(|(now, then)| now.saturating_sub(then).as_secs_f64());
        let cpu_microseconds = PARTS.into_iter().zip(used.map(|seconds| seconds * 1e6 / orders)).collect();
        Cost { cpu_microseconds, log_bytes: (self.log_bytes - before.log_bytes) / orders, fsyncs: None }
    }
}

/// Fsyncs of the write-ahead log so far. A backend adds its own once a second at most and at its end, so what is compared
/// are moments at which nobody is connected who has written.
pub(crate) async fn fsyncs(connection: &mut PgConnection) -> Result<Option<f64>> {
    // By way of JSON, because Postgres 18 has no such column any more.
    let counted = sqlx::query_scalar("select (to_jsonb(pg_stat_wal) ->> 'wal_sync')::float8 from pg_stat_wal");
    counted.fetch_one(connection).await.context("the number of fsyncs")
}

impl Cost {
    pub(crate) const HEADER: [&str; 10] = [
        "per order",
        "caller",
        "order-svc",
        "inventory-svc",
        "postgres",
        "kafka",
        "jaeger",
        "CPU µs",
        "WAL bytes",
        "fsyncs",
    ];

    /// A row of a table: the median of each figure over the rounds.
    pub(crate) fn row<'costs>(name: &str, costs: impl Iterator<Item = &'costs Self> + Clone) -> Vec<String> {
        let of = |figure: &dyn Fn(&Self) -> f64| median(costs.clone().map(figure));
        let part = |part: &'static str| of(&|cost| cost.cpu_microseconds[part]);
        let total = of(&|cost| cost.cpu_microseconds.values().sum());
        let fsyncs: Option<Vec<f64>> = costs.clone().map(|cost| cost.fsyncs).collect();
        let mut row = vec![name.to_owned()];
        row.extend(PARTS.map(|name| format!("{:.0}", part(name))));
        row.extend([format!("{total:.0}"), format!("{:.0}", of(&|cost| cost.log_bytes))]);
        row.push(fsyncs.map_or_else(|| "–".to_owned(), |fsyncs| format!("{:.3}", median(fsyncs))));
        row
    }
}

#[expect(clippy::cast_precision_loss, reason = "exact up to 2^53 orders")]
pub(crate) fn float(number: u64) -> f64 {
    number as f64
}
