//! The relay passes over nothing, whatever the order in which ids are drawn and committed (R1), although it does not read
//! from the lowest id each time (R6).

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use sqlx::{Executor as _, PgConnection, PgPool};
use tests::kafka;
use tests::platform::Platform;
use tests::service::Part;
use tests::waiting::{seconds, within};
use tokio::sync::Mutex;
use uuid::Uuid;

use crate::support::calm;

/// Longer than the relay takes to raise its mark twice.
const LATE: Duration = Duration::from_secs(2);

/// A row that is found below the relay's mark sets the mark back, and hides what the other test is about.
static ONE_AT_A_TIME: Mutex<()> = Mutex::const_new(());

/// A topic of a test's own, which no service reads.
async fn topic_of(platform: &Platform, name: &str) -> String {
    let topic = format!("{name}-{}", Uuid::new_v4().simple());
    kafka::create_topic(platform.kafka(), &topic).await;
    topic
}

/// Appends an event to the outbox, by hand: with that id, or the next one. Returns its id.
async fn append(connection: &mut PgConnection, topic: &str, key: &str, id: Option<i64>) -> i64 {
    let insert = "insert into outbox (id, events, bytes, topics, keys, payloads, event_ids, event_types, event_times,
                                      traceparents, tracestates, baggages, headers)
                  overriding system value
                  values (coalesce($1, nextval(pg_get_serial_sequence('outbox', 'id'))), 1, 0, array[$2],
                          array[convert_to($3, 'utf8')], array[null::bytea], array[gen_random_uuid()], array['test'],
                          array[now()], array[null::text], array[null::text], array[null::text], array[null::bytea])
                  returning id";
    sqlx::query_scalar(insert).bind(id).bind(topic).bind(key).fetch_one(connection).await.unwrap()
}

/// The keys of a topic's records, once there are `count`.
async fn keys(platform: &Platform, topic: &str, count: usize, limit: Duration) -> Result<Vec<String>> {
    within(limit, async || {
        let records = kafka::read_all(platform.kafka(), topic).await;
        let keys: Vec<String> = records.iter().filter_map(|record| record.key_text()).map(str::to_owned).collect();
        ensure!(keys.len() == count, "{topic} has {keys:?}");
        Ok(keys)
    })
    .await
}

/// Appends one event after the other, each committed at once, until that time is over.
async fn others_go_on(database: &PgPool, topic: &str) -> usize {
    let mut connection = database.acquire().await.unwrap();
    let begun = Instant::now();
    let mut count = 0;
    while begun.elapsed() < LATE {
        append(&mut connection, topic, "punctual", None).await;
        count += 1;
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    count
}

/// Whether the relay says that it came upon this row below its mark.
fn was_passed(platform: &Platform, id: i64) -> bool {
    let (message, id) = ("with an id that was passed", format!("\"outbox.id\":{id},"));
    platform.orders.log().lines().any(|line| line.contains(message) && line.contains(&id))
}

/// Commits an event long after others with later ids.
///
/// # Errors
/// It is not published, or only because the relay looks at the whole table now and then.
pub(crate) async fn publish_a_late_commit(platform: &Platform) -> Result<()> {
    let _alone = ONE_AT_A_TIME.lock().await;
    let database = platform.database(Part::Orders);
    let (topic, others) = (topic_of(platform, "late").await, topic_of(platform, "punctual").await);

    let mut late = database.acquire().await?;
    late.execute("begin").await?;
    let id = append(&mut late, &topic, "late", None).await;
    let count = others_go_on(&database, &others).await;
    keys(platform, &others, count, seconds(10)).await?;
    keys(platform, &topic, 0, Duration::ZERO).await.context("published before it was committed")?;
    late.execute("commit").await?;

    let published = keys(platform, &topic, 1, seconds(20)).await.context("an event that was committed late")?;
    ensure!(published == ["late"], "{published:?}");
    ensure!(!was_passed(platform, id), "the relay had given row {id} up, and found it by its look at the whole table");
    Ok(())
}

#[tokio::test]
async fn event_is_published_although_its_transaction_commits_long_after_later_ones() {
    publish_a_late_commit(&*calm().await).await.unwrap();
}

#[tokio::test]
async fn row_with_an_id_that_was_passed_is_published_all_the_same() {
    let _alone = ONE_AT_A_TIME.lock().await;
    let platform = calm().await;
    let database = platform.database(Part::Orders);
    let (topic, others) = (topic_of(&platform, "old").await, topic_of(&platform, "punctual").await);
    let count = others_go_on(&database, &others).await;
    keys(&platform, &others, count, seconds(10)).await.unwrap();

    let mut connection = database.acquire().await.unwrap();
    let id = append(&mut connection, &topic, "old", Some(-1)).await;

    assert_eq!(keys(&platform, &topic, 1, seconds(20)).await.unwrap(), ["old"]);
    assert!(was_passed(&platform, id), "the log tells of a row that should not have been there");
}
