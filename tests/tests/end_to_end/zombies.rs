//! A consumer that was thought dead and goes on.

use std::fs;

use anyhow::{Result, ensure};
use proto::topics;
use rustix::process::Signal;
use tests::audit::dead_letters::{self, Places};
use tests::kafka::{self, Record};
use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::waiting::{eventually, seconds};
use uuid::Uuid;

use crate::support::faults;

/// An eager one, unlike the usual.
const STRATEGY: (&str, &str) = ("CONSUMER_ASSIGNMENT_STRATEGY", "range");

/// Freezes a replica of inventory that holds records which it has not processed, lets the other replica take them over,
/// and lets it go on. `with`: further faults of that replica.
///
/// # Errors
/// A record was given up twice.
pub(crate) async fn wake_a_zombie(platform: &mut Platform, with: &str) -> Result<()> {
    platform.quiet(seconds(20)).await;
    let before = dead_letters::check(platform).await?;
    // Its log is its own, too: what it says is waited for.
    let mut zombie = platform.replica(Part::Inventory, &format!("zombie-{}", Uuid::new_v4()));
    if let Some(strategy) = platform.inventory.environment().get(STRATEGY.0) {
        zombie.set(STRATEGY.0, strategy.clone());
    }
    zombie.set("FAULTS", format!("freeze:consumer-begins{with}"));
    zombie.start_ready().await;
    has_partitions(&zombie).await;

    // Records that leave a trace each time that they are processed: one in each partition, so that the zombie has some.
    let mut poison = Places::new();
    for partition in 0..topics::PARTITIONS {
        let record = Record { partition, value: Some(vec![0xff]), ..Record::default() };
        let (partition, offset) = kafka::produce(platform.kafka(), topics::ORDERS, &record).await;
        poison.insert((topics::ORDERS.to_owned(), partition, offset));
    }
    eventually(seconds(20), async || {
        ensure!(is_frozen(&zombie), "the replica does not come to its first record");
        Ok(())
    })
    .await;
    // Once its session is over, all of them are the other's.
    eventually(seconds(40), async || {
        let letters = dead_letters::check(platform).await?;
        ensure!(poison.is_subset(&letters), "some records were not given up yet");
        Ok(())
    })
    .await;

    zombie.signal(Signal::CONT);
    eventually(seconds(30), async || {
        let gave_up = zombie.metrics().await.sum("dead_letters_total", &[]) > 0.0;
        let was_fenced = zombie.log().contains("the stored position was moved by another consumer");
        ensure!(gave_up || was_fenced, "the zombie does not go on:\n{}", zombie.last_lines());
        Ok(())
    })
    .await;
    platform.quiet(seconds(30)).await;
    zombie.stop().await;
    let letters = dead_letters::check(platform).await?;
    ensure!(letters.difference(&before).eq(&poison), "one dead letter for each record");
    Ok(())
}

/// Waits until the replica was given partitions, and the other one has gone on with the rest.
async fn has_partitions(replica: &Service) {
    eventually(seconds(20), async || {
        let log = replica.log();
        let mut assignments = log.lines().filter(|line| line.contains("partitions assigned"));
        ensure!(assignments.any(|line| !line.contains("\"count\":0")), "the replica has no partitions yet");
        Ok(())
    })
    .await;
}

/// Whether the process stands still.
fn is_frozen(service: &Service) -> bool {
    let pid = service.pid().expect("it was started");
    let status = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    status.rsplit_once(')').is_some_and(|(_, rest)| rest.trim_start().starts_with('T'))
}

#[tokio::test]
async fn replica_that_slept_through_its_session_does_nothing_twice() {
    let mut platform = faults().await;
    wake_a_zombie(&mut platform, "").await.unwrap();
}

#[tokio::test]
async fn nor_does_it_where_a_rebalance_takes_all_partitions_away_first() {
    let mut platform = faults().await;
    platform.inventory.set(STRATEGY.0, STRATEGY.1);
    platform.inventory.restart().await;
    wake_a_zombie(&mut platform, "").await.unwrap();
}
