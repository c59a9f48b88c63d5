//! The events of a topic, from offset 0.

use std::collections::HashMap;

use anyhow::{Context as _, Result, ensure};
use prost::{Message as _, Name as _};
use proto::events::v1 as events;
use proto::{headers, topics};
use uuid::Uuid;

use super::Of;
use super::rows::Rows;
use crate::kafka::{self, Record};

/// What one service has published.
#[derive(Default)]
pub(super) struct Events {
    source: &'static str,
    orders: HashMap<Uuid, Vec<Occurrence>>,
    broken: Option<anyhow::Error>,
}

/// A record about an order, as it lies in the topic.
#[derive(Clone, Copy, Debug)]
struct Occurrence {
    version: usize,
    event_id: Uuid,
    event_type: &'static str,
    partition: i32,
    offset: i64,
}

impl Events {
    /// Reads what `source` wrote into the topic; what others wrote is theirs.
    pub(super) async fn read(servers: &str, topic: &str, source: &'static str) -> Self {
        let none = Self { source, ..Self::default() };
        kafka::fold(servers, topic, none, |events, record| {
            if record.header(headers::CE_SOURCE) != Some(events.source) {
                return;
            }
            match well_formed(&record) {
                Ok((order_id, occurrence)) => events.orders.entry(order_id).or_default().push(occurrence),
                Err(error) => {
                    let place = format!("record {}@{}", record.partition, record.offset);
                    events.broken.get_or_insert(error.context(place));
                }
            }
        })
        .await
    }

    /// Checks that each version has one event, for the first time in order. Numbers of different events and of
    /// repetitions.
    pub(super) fn fit(self, rows: &Rows, of: Of<'_>) -> Result<(usize, usize)> {
        if let Some(broken) = self.broken {
            return Err(broken);
        }
        let mut different = 0;
        let mut duplicates = 0;
        for (order_id, occurrences) in &self.orders {
            if !rows.contains(order_id) {
                ensure!(matches!(of, Of::Customer(_)), "an event of {order_id}, which is in no row");
                continue;
            }
            let versions = first_occurrences(occurrences)
                .with_context(|| format!("the events of {order_id}: {}", listed(occurrences)))?;
            different += versions;
            duplicates += occurrences.len() - versions;
        }
        for (id, row) in rows.iter() {
            let seen = self.orders.get(id).map_or(&[][..], Vec::as_slice);
            let highest = seen.iter().map(|occurrence| occurrence.version).max().unwrap_or_default();
            ensure!(highest == row.version, "{id} has version {}, and the events {}", row.version, listed(seen));
            let last = seen.iter().find(|occurrence| occurrence.version == highest).map(|last| last.event_type);
            let expected = final_event(self.source, row.status);
            ensure!(last == Some(expected), "{id} has status {}, and the last event {last:?}", row.status);
        }
        Ok((different, duplicates))
    }
}

/// For people, in the order of the topic.
fn listed(occurrences: &[Occurrence]) -> String {
    let one = |Occurrence { version, event_id, event_type, partition, offset }: &Occurrence| {
        format!("\n  {partition}@{offset}: {event_type}, version {version}, {event_id}")
    };
    occurrences.iter().map(one).collect()
}

/// The number of versions, when the first occurrence of each comes in order and the others repeat it.
fn first_occurrences(occurrences: &[Occurrence]) -> Result<usize> {
    let mut first: Vec<&Occurrence> = Vec::new();
    for occurrence in occurrences {
        let version = occurrence.version;
        match first.get(version.wrapping_sub(1)) {
            Some(known) => {
                let same = known.event_id == occurrence.event_id && known.event_type == occurrence.event_type;
                ensure!(same, "version {version} has two events");
            }
            None => {
                let next = first.len() + 1;
                ensure!(version == next, "version {version} came before version {next}");
                first.push(occurrence);
            }
        }
    }
    Ok(first.len())
}

/// Order and place of an event, when the record is as the contract says.
fn well_formed(record: &Record) -> Result<(Uuid, Occurrence)> {
    let key = record.key_text().context("no key")?;
    let header = |name: &str| record.header(name).with_context(|| format!("no {name}"));
    ensure!(header(headers::CE_SPECVERSION)? == "1.0", "ce_specversion");
    ensure!(header(headers::CONTENT_TYPE)? == "application/protobuf", "content-type");
    ensure!(header(headers::CE_SUBJECT)? == key, "ce_subject is not the key {key}");
    let event_id: Uuid = header(headers::CE_ID)?.parse()?;
    ensure!(event_id.get_version_num() == 7, "ce_id is no UUIDv7");
    let time = header(headers::CE_TIME)?;
    ensure!(time.len() >= 20 && time.as_bytes()[10] == b'T' && time.ends_with('Z'), "ce_time is {time}");
    ensure!(record.partition == kafka::partition_of(key.as_bytes()), "{key} is in partition {}", record.partition);
    let (event_type, order_id, version) =
        content(header(headers::CE_TYPE)?, record.value.as_deref().unwrap_or_default())?;
    ensure!(order_id == key, "an event of {order_id} has the key {key}");
    let version = usize::try_from(version)?;
    let (partition, offset) = (record.partition, record.offset);
    Ok((order_id.parse()?, Occurrence { version, event_id, event_type, partition, offset }))
}

/// Type, order id and version of an event.
fn content(event_type: &str, value: &[u8]) -> Result<(&'static str, String, u64)> {
    macro_rules! decode {
        ($($event:ident)*) => {$(
            if event_type == events::$event::full_name() {
                let event = events::$event::decode(value)?;
                ensure!(event.occur_time.is_some(), "{event_type} without occur_time");
                return Ok((concat!("events.v1.", stringify!($event)), event.order_id, event.version));
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
