//! A database with events that wait for a relay, in the shape that it reads.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use messaging::outbox::{self, OutboxRecord};
use observability::propagation::TraceHeaders;
use postgres::{Database, DatabaseSettings};
use proto::events::v1::{EventLine, OrderPlaced};
use proto::values::timestamp;
use runtime::settings::SettingsReader;
use serde::Serialize;
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use tests::kafka::{self, Ends};
use tests::platform::Platform;
use uuid::Uuid;

/// Nobody consumes it.
const TOPIC: &str = "bench.relay";
/// Events of one transaction: 1 to this many in turns, 16 in the mean, as the writers commit them under load.
const MOST_OF_A_TRANSACTION: usize = 31;
/// Between two looks at whether all is published.
const LOOK: Duration = Duration::from_millis(5);
/// What takes longer is not measured but broken.
const LIMIT: Duration = Duration::from_secs(300);

/// In which rows the same events wait.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Shape {
    /// Our outbox: a row for each transaction.
    Transactions,
    /// Our outbox, at its worst: a row for each event.
    Events,
    /// The usual outbox: a row for each event.
    Usual,
}

/// The database, and a session that fills it.
pub(crate) struct Backlog {
    pub(crate) url: String,
    connection: PgConnection,
    ends: Ends,
    events: u32,
}

impl Shape {
    pub(crate) fn table(self) -> &'static str {
        match self {
            Self::Transactions | Self::Events => "outbox",
            Self::Usual => "usual_outbox",
        }
    }

    /// Copies the first `$1` of the staged rows, in their order.
    fn fill(self) -> &'static str {
        match self {
            Self::Transactions => {
                "insert into outbox (events, bytes, topics, keys, payloads, event_ids, event_types, event_times,
                                     traceparents, tracestates, baggages, headers)
                 select events, bytes, topics, keys, payloads, event_ids, event_types, event_times, traceparents,
                        tracestates, baggages, headers
                 from staged order by id limit $1"
            }
            Self::Events => {
                "insert into outbox (events, bytes, topics, keys, payloads, event_ids, event_types, event_times,
                                     traceparents, tracestates, baggages, headers)
                 select 1, octet_length(payload), array[topic], array[key], array[payload], array[event_id],
                        array[event_type], array[event_time], array[traceparent], array[null::text],
                        array[null::text], array[null::bytea]
                 from (select * from staged order by id limit $1) as staged,
                      unnest(topics, keys, payloads, event_ids, event_types, event_times, traceparents)
                          with ordinality
                          as event (topic, key, payload, event_id, event_type, event_time, traceparent, place)
                 order by id, place"
            }
            Self::Usual => {
                "insert into usual_outbox (topic, key, payload, event_id, event_type, event_time, traceparent)
                 select topic, key, payload, event_id, event_type, event_time, traceparent
                 from (select * from staged order by id limit $1) as staged,
                      unnest(topics, keys, payloads, event_ids, event_types, event_times, traceparents)
                          with ordinality
                          as event (topic, key, payload, event_id, event_type, event_time, traceparent, place)
                 order by id, place"
            }
        }
    }

    /// Whether event or row `$1` still waits.
    fn waits(self) -> &'static str {
        match self {
            Self::Transactions | Self::Events => "select exists (select from outbox where id = $1)",
            Self::Usual => "select exists (select from usual_outbox where id = $1 and published_at is null)",
        }
    }

    fn waiting(self) -> &'static str {
        match self {
            Self::Transactions | Self::Events => "select count(*) from outbox",
            Self::Usual => "select count(*) from usual_outbox where published_at is null",
        }
    }
}

impl Backlog {
    /// Makes the database `name` and stages `events` or a few more there, by the services' own code.
    pub(crate) async fn stage(platform: &Platform, name: &str, events: u32) -> Result<Self> {
        kafka::create_topic(platform.kafka(), TOPIC).await;
        let postgres = &platform.stack.postgres;
        postgres.create_database(name).await?;
        let url = postgres.database_url(name);
        let mut reader = SettingsReader::new(None, [("DATABASE_URL".to_owned(), url.clone())]);
        let database = Database::connect_lazily(DatabaseSettings::read(&mut reader), "bench");
        sqlx::migrate!("../migrations/orders").run(database.writes()).await?;
        let mut staged = 0;
        for count in (1..=MOST_OF_A_TRANSACTION).cycle() {
            if staged >= events {
                break;
            }
            let records: Vec<OutboxRecord> = std::iter::repeat_with(event).take(count).collect();
            let mut transaction = database.begin().await?;
            outbox::append(&mut transaction, &records).await?;
            transaction.commit().await?;
            staged += u32::try_from(count)?;
        }
        database.close().await;
        let mut connection = PgConnection::connect(&url).await?;
        connection.execute("create table staged as select * from outbox order by id").await?;
        connection.execute("truncate outbox").await?;
        connection.execute("vacuum analyze staged").await?;
        connection.execute(include_str!("../../scripts/usual_outbox.sql")).await?;
        Ok(Self { url, connection, ends: Ends::asked_of(platform.kafka())?, events: staged })
    }

    /// How many were staged.
    pub(crate) fn events(&self) -> u32 {
        self.events
    }

    /// Records that relays have produced so far.
    pub(crate) async fn produced(&self) -> Result<i64> {
        Ok(self.ends.of(TOPIC).await?.values().sum())
    }

    pub(crate) fn connection(&mut self) -> &mut PgConnection {
        &mut self.connection
    }

    /// Takes everything out, what was published too, and the room that it took.
    pub(crate) async fn clear(&mut self) -> Result<()> {
        self.connection.execute("truncate outbox, usual_outbox").await?;
        Ok(())
    }

    /// Puts the first `rows` staged rows before the relay, which sees nothing of it until [`Self::release`]. Returns the
    /// last id.
    pub(crate) async fn fill(&mut self, shape: Shape, rows: Option<i64>) -> Result<i64> {
        self.connection.execute("begin").await?;
        sqlx::query(shape.fill()).bind(rows).execute(&mut self.connection).await.context("the backlog")?;
        // As autovacuum would have done long ago; without it the usual relay sorts the whole table for each hundred rows.
        self.connection.execute(AssertSqlSafe(format!("analyze {}", shape.table()))).await?;
        let last = AssertSqlSafe(format!("select max(id) from {}", shape.table()));
        Ok(sqlx::query_scalar(last).fetch_one(&mut self.connection).await?)
    }

    /// Lets the relay see what was filled in, waits until all of it is published and marked as such, and says how long
    /// that took.
    pub(crate) async fn release(&mut self, shape: Shape, last: i64) -> Result<Duration> {
        self.connection.execute("commit").await?;
        let begun = Instant::now();
        // The last row by its id, because looking for any row passes all that are dead.
        while sqlx::query_scalar(shape.waits()).bind(last).fetch_one(&mut self.connection).await? {
            pause(begun).await?;
        }
        while sqlx::query_scalar::<_, i64>(shape.waiting()).fetch_one(&mut self.connection).await? > 0 {
            pause(begun).await?;
        }
        Ok(begun.elapsed())
    }
}

async fn pause(begun: Instant) -> Result<()> {
    ensure!(begun.elapsed() < LIMIT, "the backlog is not published after {} s", LIMIT.as_secs());
    tokio::time::sleep(LOOK).await;
    Ok(())
}

/// As order-svc makes them for an order of one line, in a trace that is not sampled.
fn event() -> OutboxRecord {
    let (order_id, now) = (Uuid::now_v7(), postgres::now());
    let placed = OrderPlaced {
        order_id: order_id.to_string(),
        customer_id: "load".to_owned(),
        lines: vec![EventLine { sku: crate::rig::HOT_SKU.to_owned(), quantity: 1, unit_price: None }],
        version: 1,
        occur_time: Some(timestamp(now)),
    };
    let traceparent = Some(format!("00-{}-{:016x}-00", order_id.simple(), 7));
    let trace = TraceHeaders { traceparent, tracestate: None, baggage: None };
    OutboxRecord::event(TOPIC, order_id, &placed, now, trace)
}
