//! The audit would notice: each mistake that breaks the protocol is found. Without the mistake the same steps find
//! nothing, in [`crate::crash_points`], [`crate::zombies`] and [`crate::outbox`].

use runtime::faults::{Mistake, Point};
use tests::service::Part;

use crate::outbox::publish_a_late_commit;
use crate::support::{crash_at, faults};
use crate::zombies::wake_a_zombie;

/// The mistake, half done that many times before the crash.
fn half_done(mistake: Mistake, times: u32) -> String {
    format!("mistake:{},crash:{}@{times}", mistake.name(), Point::HalfDone.name())
}

fn is_found(result: anyhow::Result<impl Sized>, with: &str) {
    let finding = result.err().expect("the mistake is found");
    let text = format!("{finding:#}");
    eprintln!("found: {text}");
    assert!(text.contains(with), "{text}");
}

#[tokio::test]
async fn position_that_moves_before_the_effect_is_found() {
    let mut platform = faults().await;
    let result = crash_at(&mut platform, Part::Inventory, &half_done(Mistake::OffsetBeforeEffect, 3)).await;
    is_found(result, "I5 is broken");
    platform.end();
}

#[tokio::test]
async fn relay_that_deletes_before_it_publishes_is_found() {
    let mut platform = faults().await;
    let result = crash_at(&mut platform, Part::Orders, &half_done(Mistake::MarkBeforePublish, 10)).await;
    is_found(result, "I3 or I4 is broken");
    platform.end();
}

#[tokio::test]
async fn answer_before_the_commit_is_found() {
    let mut platform = faults().await;
    let result = crash_at(&mut platform, Part::Orders, &half_done(Mistake::ReplyBeforeCommit, 5)).await;
    is_found(result, "I1 is broken");
    platform.end();
}

#[tokio::test]
async fn relay_that_goes_by_a_cursor_is_found() {
    let mut platform = faults().await;
    platform.orders.stop().await;
    platform.orders.set("FAULTS", format!("mistake:{}", Mistake::IdAboveCursor.name()));
    platform.orders.start_ready().await;
    is_found(publish_a_late_commit(&platform).await, "an event that was committed late");
    platform.end();
}

#[tokio::test]
async fn consumer_without_a_fence_is_found() {
    let mut platform = faults().await;
    is_found(wake_a_zombie(&mut platform, &format!(",mistake:{}", Mistake::NoFence.name())).await, "I6 is broken");
    platform.end();
}
