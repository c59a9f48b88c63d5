//! A transaction that has drawn its outbox id commits after others with later ones.

use anyhow::{Context as _, Result, ensure};
use proto::{headers, topics};
use sqlx::{Connection as _, Executor as _, PgConnection};
use tests::kafka::{self, Record};
use tests::platform::Platform;
use tests::service::Part;
use tests::waiting::{eventually, seconds};

use crate::support::faults;

/// Puts an event of an order into the outbox once more, in a transaction that commits when later events have long been
/// published. Consumers bear an event that comes again.
///
/// # Errors
/// It is not published.
pub(crate) async fn publish_a_late_commit(platform: &mut Platform) -> Result<()> {
    let mut shop = platform.shop();
    let sku = shop.stocked("stamp", 100, (1, 0)).await;
    let first = shop.place(&[(&sku, 1)]).await;
    platform.rests(seconds(20)).await?;
    let event = events_of(platform, &first.order_id).await.into_iter().next().context("an event of the order")?;
    let header = |name| event.header(name).unwrap_or_default().to_owned();

    let url = platform.stack.postgres.database_url(Part::Orders.database());
    let mut late = PgConnection::connect(&url).await?;
    late.execute("begin").await?;
    sqlx::query(
        "insert into outbox
             (events, bytes, topics, keys, payloads, event_ids, event_types, event_times, traceparents, tracestates,
              baggages, headers)
         values (1, $1, array[$2], array[$3], array[$4], array[$5::uuid], array[$6], array[$7::timestamptz],
                 array[null::text], array[null::text], array[null::text], array[null::bytea])",
    )
    .bind(i64::try_from(event.value.as_ref().map_or(0, Vec::len))?)
    .bind(topics::ORDERS)
    .bind(&event.key)
    .bind(&event.value)
    .bind(header(headers::CE_ID))
    .bind(header(headers::CE_TYPE))
    .bind(header(headers::CE_TIME))
    .execute(&mut late)
    .await?;

    let later = shop.place(&[(&sku, 1)]).await;
    eventually(seconds(20), async || {
        ensure!(events_of(platform, &later.order_id).await.len() >= 2, "the later order's events are not published");
        Ok(())
    })
    .await;
    ensure!(events_of(platform, &first.order_id).await.len() == 2, "nothing is published before it is committed");

    late.execute("commit").await?;
    platform.rests(seconds(10)).await?;
    ensure!(events_of(platform, &first.order_id).await.len() == 3, "the late event is not published");
    Ok(())
}

async fn events_of(platform: &Platform, order_id: &str) -> Vec<Record> {
    let records = kafka::read_all(platform.kafka(), topics::ORDERS).await;
    records.into_iter().filter(|record| record.key_text() == Some(order_id)).collect()
}

#[tokio::test]
async fn event_that_is_committed_after_later_ones_is_published() {
    let mut platform = faults().await;
    publish_a_late_commit(&mut platform).await.unwrap();
}
