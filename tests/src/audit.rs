//! The rules that never break (I1 to I4), checked in both databases and in Kafka from offset 0.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use prost::{Message as _, Name as _};
use proto::events::v1 as events;
use proto::{headers, topics};
use serde_json::Value;
use sqlx::PgPool;
use uuid::Uuid;

use crate::kafka::{self, Record};
use crate::platform::Platform;
use crate::service::Part;
use crate::waiting::eventually;

/// Whose orders are looked at.
#[derive(Clone, Copy, Debug)]
pub enum Of<'a> {
    /// Every order there is: for platforms that nobody else uses at the moment.
    Everybody,
    /// One customer's.
    Customer(&'a str),
}

/// What was found while nothing was wrong.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Found {
    /// Orders.
    pub orders: usize,
    /// Different events in both topics.
    pub events: usize,
    /// Records that repeat an event.
    pub duplicates: usize,
}

/// Waits until nothing is left to do, then checks everything.
///
/// # Panics
/// When the platform does not come to rest within `limit`, or a rule is broken.
pub async fn whole(platform: &Platform, limit: Duration) -> Found {
    platform.quiet(limit).await;
    stock(platform).await;
    let unfinished: i64 = sqlx::query_scalar("select count(*) from unfinished_orders")
        .fetch_one(&platform.database(Part::Orders))
        .await
        .expect("the database answers");
    assert_eq!(unfinished, 0, "orders are unfinished though every event was consumed");
    orders(platform, Of::Everybody, Duration::ZERO).await
}

/// Records that consumers have given up on so far. A platform that nobody feeds nonsense has none to give up on.
///
/// # Panics
/// When the broker does not say.
pub async fn dead_letters(platform: &Platform) -> i64 {
    // A service that was just started may still be making its topics.
    eventually(Duration::from_secs(10), async || {
        let mut letters = 0;
        for topic in [topics::ORDERS_DEAD_LETTERS, topics::INVENTORY_DEAD_LETTERS] {
            letters += kafka::ends(platform.kafka(), topic).await?.values().sum::<i64>();
        }
        Ok(letters)
    })
    .await
}

/// I2, for every SKU in one snapshot, so it holds at any moment: 0 ≤ reserved ≤ `on_hand`, reserved is what HELD
/// reservations hold, `on_hand` is what was imported less what was shipped.
///
/// # Panics
/// When it does not.
pub async fn stock(platform: &Platform) {
    let broken: Vec<String> = sqlx::query_scalar(
        "with lines as (
             select status, line->>'sku' as sku, (line->>'quantity')::bigint as quantity
             from reservations cross join jsonb_array_elements(lines) as line
         ),
         held as (select sku, sum(quantity) as units from lines where status = 1 group by sku),
         shipped as (select sku, sum(quantity) as units from lines where status = 3 group by sku),
         imported as (select sku, sum(quantity) as units from imported_rows group by sku)
         select format('%s: on_hand %s, reserved %s, held %s, imported %s, shipped %s', sku, on_hand, reserved,
                       held.units, imported.units, shipped.units)
         from stock
              full join held using (sku) full join shipped using (sku) full join imported using (sku)
         where not coalesce(
             0 <= reserved and reserved <= on_hand
             and reserved = coalesce(held.units, 0)
             and on_hand = coalesce(imported.units, 0) - coalesce(shipped.units, 0), false)",
    )
    .fetch_all(&platform.database(Part::Inventory))
    .await
    .expect("the database answers");
    assert!(broken.is_empty(), "I2 is broken:\n{}", broken.join("\n"));
}

/// I3 and I4: every version of every order and reservation has exactly one event, published in order in the partition of
/// its key; and orders agree with their reservations.
///
/// # Panics
/// When a rule is broken, or an event is missing after `limit`.
pub async fn orders(platform: &Platform, of: Of<'_>, limit: Duration) -> Found {
    eventually(limit, async || {
        let orders = Rows::orders(&platform.database(Part::Orders), of).await?;
        let reservations = Rows::reservations(&platform.database(Part::Inventory), &orders).await?;
        let mut found = Found { orders: orders.0.len(), ..Found::default() };
        for (topic, source, rows) in [
            (topics::ORDERS, topics::ORDER_SERVICE, &orders),
            (topics::INVENTORY, topics::INVENTORY_SERVICE, &reservations),
        ] {
            let records = kafka::read_all(platform.kafka(), topic).await;
            let (events, duplicates) = published(&records, source, rows, of).with_context(|| topic.to_owned())?;
            found.events += events;
            found.duplicates += duplicates;
        }
        agree(&orders, &reservations)?;
        Ok(found)
    })
    .await
}

/// What the database says of an order or a reservation.
struct Row {
    status: i16,
    version: u64,
    /// SKU and quantity.
    lines: BTreeSet<(String, u64)>,
}

/// By order id.
struct Rows(HashMap<String, Row>);

impl Rows {
    async fn orders(database: &PgPool, of: Of<'_>) -> Result<Self> {
        let customer = match of {
            Of::Everybody => None,
            Of::Customer(customer) => Some(customer),
        };
        let rows = sqlx::query_as(
            "select order_id, status, version, lines from orders where $1::text is null or customer_id = $1",
        )
        .bind(customer)
        .fetch_all(database)
        .await?;
        Ok(Self::of(rows))
    }

    async fn reservations(database: &PgPool, orders: &Self) -> Result<Self> {
        let ids: Vec<Uuid> = orders.0.keys().map(|id| id.parse().expect("ids come from a uuid column")).collect();
        let rows = sqlx::query_as("select order_id, status, version, lines from reservations where order_id = any($1)")
            .bind(ids)
            .fetch_all(database)
            .await?;
        Ok(Self::of(rows))
    }

    fn of(rows: Vec<(Uuid, i16, i16, Value)>) -> Self {
        let line = |line: &Value| {
            let sku = line["sku"].as_str().expect("a line has a SKU");
            (sku.to_owned(), line["quantity"].as_u64().expect("a line has a quantity"))
        };
        let row = |(id, status, version, lines): (Uuid, i16, i16, Value)| {
            let version = u64::try_from(version).expect("versions count up from 1");
            let lines = lines.as_array().expect("lines are a list").iter().map(line).collect();
            (id.to_string(), Row { status, version, lines })
        };
        Self(rows.into_iter().map(row).collect())
    }
}

/// Numbers of different events and of repetitions.
fn published(records: &[Record], source: &str, rows: &Rows, of: Of<'_>) -> Result<(usize, usize)> {
    // Per order: id and type of the event of each version, in the order of their first occurrence.
    let mut versions: BTreeMap<&str, Vec<(String, String)>> = BTreeMap::new();
    let mut duplicates = 0;
    let ours = records.iter().filter(|record| record.header(headers::CE_SOURCE) == Some(source));
    for record in ours {
        let key = record.key_text().context("a record without a key")?;
        if !rows.0.contains_key(key) {
            ensure!(matches!(of, Of::Customer(_)), "an event of {key}, which is in no row");
            continue;
        }
        let (event_type, version) = well_formed(record, key)?;
        let event_id = record.header(headers::CE_ID).unwrap_or_default().to_owned();
        let seen = versions.entry(key).or_default();
        let next = seen.len() + 1;
        if version <= seen.len() {
            let first = &seen[version - 1];
            ensure!(*first == (event_id, event_type), "version {version} of {key} has two events");
            duplicates += 1;
        } else {
            ensure!(
                version == next,
                "version {version} of {key} came before version {next}; there are {:#?}",
                occurrences(records, key)
            );
            seen.push((event_id, event_type));
        }
    }
    for (id, row) in &rows.0 {
        let seen = versions.get(id.as_str()).map_or(&[][..], Vec::as_slice);
        ensure!(seen.len() as u64 == row.version, "{id} has version {}, and the events {seen:?}", row.version);
        let last = seen.last().map(|(_, event_type)| event_type.as_str()).unwrap_or_default();
        ensure!(last == final_event(source, row.status), "{id} has status {}, and the last event {last}", row.status);
    }
    Ok((versions.values().map(Vec::len).sum(), duplicates))
}

/// Where the events of an order are, and what they are.
fn occurrences(records: &[Record], key: &str) -> Vec<String> {
    let of_key = records.iter().filter(|record| record.key_text() == Some(key));
    let place = |record: &Record| {
        let [event_type, event_id, time] =
            [headers::CE_TYPE, headers::CE_ID, headers::CE_TIME].map(|name| record.header(name).unwrap_or_default());
        format!("{}@{}: {event_type} {event_id} {time}", record.partition, record.offset)
    };
    of_key.map(place).collect()
}

/// Type and version of an event, when the record is as the contract says.
fn well_formed(record: &Record, key: &str) -> Result<(String, usize)> {
    let header = |name: &str| record.header(name).with_context(|| format!("a record of {key} without {name}"));
    ensure!(header(headers::CE_SPECVERSION)? == "1.0", "ce_specversion of {key}");
    ensure!(header(headers::CONTENT_TYPE)? == "application/protobuf", "content-type of {key}");
    ensure!(header(headers::CE_SUBJECT)? == key, "ce_subject of {key}");
    let event_id: Uuid = header(headers::CE_ID)?.parse()?;
    ensure!(event_id.get_version_num() == 7, "ce_id of {key} is no UUIDv7");
    let time = header(headers::CE_TIME)?;
    ensure!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "ce_time of {key} is {time}");
    ensure!(record.partition == kafka::partition_of(key.as_bytes()), "{key} is in partition {}", record.partition);
    let event_type = header(headers::CE_TYPE)?;
    let (order_id, version) = content(event_type, record.value.as_deref().unwrap_or_default())?;
    ensure!(order_id == key, "an event of {order_id} has the key {key}");
    Ok((event_type.to_owned(), usize::try_from(version)?))
}

/// Order id and version of an event.
fn content(event_type: &str, value: &[u8]) -> Result<(String, u64)> {
    macro_rules! decode {
        ($($event:ident)*) => {$(
            if event_type == events::$event::full_name() {
                let event = events::$event::decode(value)?;
                ensure!(event.occur_time.is_some(), "{event_type} without occur_time");
                return Ok((event.order_id, event.version));
            }
        )*};
    }
    decode!(OrderPlaced OrderConfirmed OrderRejected OrderCancelled OrderFulfilled);
    decode!(StockReserved StockRejected StockReleased StockShipped);
    anyhow::bail!("no event of the contract: {event_type}")
}

/// The event of the last move to a status.
fn final_event(source: &str, status: i16) -> &'static str {
    match (source, status) {
        (topics::ORDER_SERVICE, 1) => "events.v1.OrderPlaced",
        (topics::ORDER_SERVICE, 2) => "events.v1.OrderConfirmed",
        (topics::ORDER_SERVICE, 3) => "events.v1.OrderRejected",
        (topics::ORDER_SERVICE, 4) => "events.v1.OrderCancelled",
        (topics::ORDER_SERVICE, 5) => "events.v1.OrderFulfilled",
        (_, 1) => "events.v1.StockReserved",
        (_, 2) => "events.v1.StockReleased",
        (_, 3) => "events.v1.StockShipped",
        (_, 4) => "events.v1.StockRejected",
        (_, _) => "none",
    }
}

/// Whether inventory holds for each order what it should.
fn agree(orders: &Rows, reservations: &Rows) -> Result<()> {
    for (id, order) in &orders.0 {
        let reservation = reservations.0.get(id);
        let status = reservation.map(|reservation| reservation.status);
        // Numbers as in the contract's enums.
        let fits = match order.status {
            1 => true,
            2 => status == Some(1),
            3 => status == Some(4),
            4 => matches!(status, Some(2 | 4)),
            5 => status == Some(3),
            _ => false,
        };
        ensure!(fits, "order {id} has status {} and its reservation {status:?}", order.status);
        if let Some(reservation) = reservation.filter(|reservation| !reservation.lines.is_empty()) {
            ensure!(reservation.lines == order.lines, "order {id} and its reservation have different lines");
        }
    }
    Ok(())
}
