//! Locks are taken in one order everywhere (T1), so nobody ever waits in a circle.

use std::time::Duration;

use anyhow::ensure;
use sqlx::pool::PoolConnection;
use sqlx::postgres::PgPoolOptions;
use sqlx::{Executor as _, PgPool, Postgres};
use tests::platform::Platform;
use tests::service::Part;
use tests::shop::Shop;
use tests::traffic::{Traffic, assert_told_the_truth};
use tests::waiting::{eventually, seconds};
use tests::{audit, chance};

use crate::support::{faults, second_replicas};

const LOAD: Duration = Duration::from_secs(60);
const CALLERS: usize = 24;

/// Makes the server look for a deadlock long before a service gives up waiting for a lock (200 ms). By default it looks
/// after a second, and would never see one.
async fn look_for_deadlocks_early(server: &PgPool) {
    server.execute("alter system set deadlock_timeout = '20ms'").await.unwrap();
    server.execute("select pg_reload_conf()").await.unwrap();
    eventually(seconds(5), async || {
        let timeout: String = sqlx::query_scalar("show deadlock_timeout").fetch_one(server).await?;
        ensure!(timeout == "20ms", "deadlock_timeout is {timeout}");
        Ok(())
    })
    .await;
}

/// Lines of the server's log that tell of a deadlock.
fn deadlocks(platform: &Platform) -> Vec<String> {
    let log = platform.postgres_log();
    log.lines().filter(|line| line.contains("deadlock detected")).map(str::to_owned).collect()
}

/// Makes two sessions wait for each other, which the server ends; waits until its log says so.
async fn deadlock_of_our_own(platform: &Platform, server: &PgPool) {
    let before = deadlocks(platform).len();
    let (mut one, mut other) = (server.acquire().await.unwrap(), server.acquire().await.unwrap());
    one.execute("select pg_advisory_lock(1)").await.unwrap();
    other.execute("select pg_advisory_lock(2)").await.unwrap();
    let crossed =
        tokio::join!(cross(&mut one, "select pg_advisory_lock(2)"), cross(&mut other, "select pg_advisory_lock(1)"));
    assert!(crossed.0.is_err() != crossed.1.is_err(), "one of two is ended: {crossed:?}");
    eventually(seconds(5), async || {
        let after = deadlocks(platform);
        ensure!(after.len() == before + 1, "the log tells of the deadlocks {after:#?}");
        Ok(())
    })
    .await;
}

/// Waits for the other's lock, then lets go of everything.
async fn cross(session: &mut PoolConnection<Postgres>, lock: &'static str) -> Result<(), sqlx::Error> {
    let locked = session.execute(lock).await;
    session.execute("select pg_advisory_unlock_all()").await?;
    locked.map(|_| ())
}

#[tokio::test]
async fn a_minute_of_load_on_twenty_skus_over_two_replicas_ends_in_no_deadlock() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut chance = chance::seeded();
    let mut shop = platform.shop();
    let mut skus = Vec::new();
    for number in 0..20 {
        skus.push(shop.stocked(&format!("hot-{number}"), 1_000_000, (2, 500_000_000)).await);
    }
    // A database of nobody's.
    let url = platform.stack.postgres.database_url("postgres");
    let server = PgPoolOptions::new().max_connections(2).connect(&url).await.unwrap();
    look_for_deadlocks_early(&server).await;
    deadlock_of_our_own(&platform, &server).await;
    let before = deadlocks(&platform);

    let dead_letters = audit::dead_letters::count(&platform).await;
    let other = Shop { orders: second.orders(), ..shop.clone() };
    let traffic = Traffic::start(&mut chance, &[shop, other], &skus, CALLERS, usize::MAX);
    tokio::time::sleep(LOAD).await;
    traffic.no_more();
    let purchases = traffic.done().await;
    platform.quiet(seconds(60)).await;

    let waits = platform.postgres_log().lines().filter(|line| line.contains("still waiting for")).count();
    eprintln!("{} orders; {waits} times somebody waited for a lock for long", purchases.len());
    assert_eq!(deadlocks(&platform)[before.len()..], [""; 0]);
    deadlock_of_our_own(&platform, &server).await;
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(60)).await;
    assert_eq!(audit::dead_letters::count(&platform).await, dead_letters, "no event is given up");
    let fates = assert_told_the_truth(&purchases, &platform.database(Part::Orders)).await;
    eprintln!("{fates:?}");
    platform.end();
}
