//! The rules that never break (I1 to I6), checked in both databases and in Kafka from offset 0.
//!
//! - I1 is checked by whoever kept a journal ([`chaos`](crate::chaos), [`traffic`](crate::traffic)): only callers know what
//!   they were told.
//! - I2: [`stock`]. I3 and I4: [`events`] against [`rows`]. I5 and I6: [`dead_letters`].
//!
//! Whatever is checked is checked over everything: memory holds some bytes for each event, not the records.

pub mod dead_letters;
mod events;
mod rows;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use proto::topics;

use self::dead_letters::Places;
use self::events::Events;
use self::rows::Rows;
use crate::platform::Platform;
use crate::service::Part;
use crate::state::State;
use crate::waiting::within;

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
    check(platform, limit).await.map(|(found, _)| found).unwrap_or_else(|finding| panic!("{finding:#}"))
}

/// The same, for whoever expects a finding; and where the records lie that consumers have given up on.
///
/// # Errors
/// The platform does not come to rest within `limit`, or the first rule that is broken.
pub async fn check(platform: &Platform, limit: Duration) -> Result<(Found, Places)> {
    check_state(&platform.state(), limit).await
}

/// The same for a platform that somebody else has started.
///
/// # Errors
/// As [`check`].
pub async fn check_state(state: &State, limit: Duration) -> Result<(Found, Places)> {
    state.rests(limit).await?;
    check_stock(state).await?;
    let letters = dead_letters::check_at(state.kafka()).await?;
    // A cause before what comes of it: an event that was lost, an effect that was, a reservation that does not fit.
    let (found, orders, reservations) = check_events(state, Of::Everybody).await?;
    let unfinished: i64 =
        sqlx::query_scalar("select count(*) from unfinished_orders").fetch_one(state.database(Part::Orders)).await?;
    ensure!(unfinished == 0, "I5 is broken: {unfinished} orders are unfinished though every event was consumed");
    rows::agree(&orders, &reservations)?;
    Ok((found, letters))
}

/// I2, for every SKU in one snapshot, so it holds at any moment: 0 ≤ reserved ≤ `on_hand`, reserved is what HELD
/// reservations hold, `on_hand` is what was imported less what was shipped.
///
/// # Panics
/// When it does not.
pub async fn stock(platform: &Platform) {
    check_stock(&platform.state()).await.unwrap_or_else(|finding| panic!("{finding:#}"));
}

async fn check_stock(state: &State) -> Result<()> {
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
    .fetch_all(state.database(Part::Inventory))
    .await?;
    ensure!(broken.is_empty(), "I2 is broken:\n{}", broken.join("\n"));
    Ok(())
}

/// I3 and I4: every version of every order and reservation has exactly one event, published in order in the partition of
/// its key; and orders agree with their reservations.
///
/// # Panics
/// When a rule is broken, or an event is missing after `limit`.
pub async fn orders(platform: &Platform, of: Of<'_>, limit: Duration) -> Found {
    let state = platform.state();
    let found = within(limit, async || check_orders(&state, of).await).await;
    found.unwrap_or_else(|finding| panic!("{finding:#}"))
}

async fn check_orders(state: &State, of: Of<'_>) -> Result<Found> {
    let (found, orders, reservations) = check_events(state, of).await?;
    rows::agree(&orders, &reservations)?;
    Ok(found)
}

async fn check_events(state: &State, of: Of<'_>) -> Result<(Found, Rows, Rows)> {
    let orders = Rows::orders(state.database(Part::Orders), of).await?;
    let reservations = Rows::reservations(state.database(Part::Inventory), &orders).await?;
    let mut found = Found { orders: orders.len(), ..Found::default() };
    for (topic, source, rows) in [
        (topics::ORDERS, topics::ORDER_SERVICE, &orders),
        (topics::INVENTORY, topics::INVENTORY_SERVICE, &reservations),
    ] {
        let events = Events::read(state.kafka(), topic, source).await;
        let (different, duplicates) = events.fit(rows, of).with_context(|| format!("I3 or I4 is broken in {topic}"))?;
        found.events += different;
        found.duplicates += duplicates;
    }
    Ok((found, orders, reservations))
}
