//! The database ends sessions of the services all the time, wherever they are.

use std::time::{Duration, Instant};

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use sqlx::postgres::PgPoolOptions;
use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::shop::Shop;
use tests::traffic::{Traffic, assert_told_the_truth};
use tests::waiting::seconds;
use tests::{audit, chance};

use crate::support::{faults, second_replicas};

const LOAD: Duration = Duration::from_secs(15);
const CALLERS: usize = 24;
/// Sessions in transactions that are ended together.
const MOST_AT_ONCE: usize = 2;
const LONGEST_PAUSE: Duration = Duration::from_millis(200);
const SHORTEST_PAUSE: Duration = Duration::from_millis(50);

/// Ends some sessions of the services in either database, again and again, those in a transaction before all; returns
/// how many it has ended.
async fn end_sessions(platform: &Platform, chance: &mut StdRng) -> usize {
    // Not one of their databases: every session there is theirs.
    let url = platform.stack.postgres.database_url("postgres");
    let server = PgPoolOptions::new().max_connections(1).connect(&url).await.unwrap();
    let begun = Instant::now();
    let mut ended = 0;
    while begun.elapsed() < LOAD {
        let sessions: Vec<(i32, bool)> = sqlx::query_as(
            "select pid, xact_start is not null from pg_stat_activity where datname in ('orders', 'inventory')",
        )
        .fetch_all(&server)
        .await
        .unwrap();
        let (busy, idle): (Vec<_>, Vec<_>) = sessions.iter().partition(|(_, is_busy)| *is_busy);
        let chosen = busy.sample(chance, MOST_AT_ONCE).chain(idle.sample(chance, 1));
        let chosen: Vec<i32> = chosen.map(|(process_id, _)| *process_id).collect();
        let gone: Vec<bool> = sqlx::query_scalar("select pg_terminate_backend(pid) from unnest($1::int[]) as pid")
            .bind(&chosen)
            .fetch_all(&server)
            .await
            .unwrap();
        ended += gone.into_iter().filter(|gone| *gone).count();
        tokio::time::sleep(chance.random_range(SHORTEST_PAUSE..LONGEST_PAUSE)).await;
    }
    ended
}

/// How often services have said that they don't know whether they have committed.
fn commits_in_doubt(services: [&Service; 4]) -> usize {
    services.iter().map(|service| service.log().matches("commit in doubt").count()).sum()
}

#[tokio::test]
async fn sessions_that_are_ended_under_load_make_no_false_answer_and_leave_nobody_waiting() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut chance = chance::seeded();
    let mut shop = platform.shop();
    let mut skus = Vec::new();
    for number in 0..10 {
        skus.push(shop.stocked(&format!("piece-{number}"), 1_000_000, (2, 500_000_000)).await);
    }
    let dead_letters = audit::dead_letters::count(&platform).await;
    let other = Shop { orders: second.orders(), ..shop.clone() };
    let traffic = Traffic::start(&mut chance, &[shop, other], &skus, CALLERS, usize::MAX);

    let before = commits_in_doubt([&platform.orders, &platform.inventory, &second, &second_inventory]);
    let ended = end_sessions(&platform, &mut chance).await;

    traffic.no_more();
    let purchases = traffic.done().await;
    let in_doubt = commits_in_doubt([&platform.orders, &platform.inventory, &second, &second_inventory]) - before;
    eprintln!("{ended} sessions were ended, {in_doubt} of them while committing; {} orders", purchases.len());
    assert!(in_doubt > 0 && ended > 50 && purchases.len() > 100, "the load and the ends have to meet");
    let first = &mut *platform;
    for service in [&mut first.orders, &mut first.inventory, &mut second, &mut second_inventory] {
        assert!(service.is_running(), "they live through it");
    }
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(60)).await;
    assert_eq!(audit::dead_letters::count(&platform).await, dead_letters, "no event is given up");
    let fates = assert_told_the_truth(&purchases, &platform.database(Part::Orders)).await;
    eprintln!("{fates:?}");
}
