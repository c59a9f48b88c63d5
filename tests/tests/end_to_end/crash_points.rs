//! A service dies at the worst moments of its code, one after the other: nothing is lost, nothing happens twice.

use runtime::faults::Point;
use tests::service::Part;

use crate::support::{crash_at, faults};

#[tokio::test]
async fn crash_after_commit_and_before_the_answer_loses_nothing() {
    let mut platform = faults().await;
    for part in [Part::Orders, Part::Inventory] {
        crash_at(&mut platform, part, &format!("crash:{}@60", Point::WriterCommitted.name())).await.unwrap();
    }
}

#[tokio::test]
async fn crash_after_publishing_and_before_the_row_is_deleted_repeats_the_event_and_nothing_else() {
    let mut platform = faults().await;
    for part in [Part::Orders, Part::Inventory] {
        let found = crash_at(&mut platform, part, &format!("crash:{}@20", Point::RelayAcknowledged.name())).await;
        let found = found.unwrap();
        assert!(found.duplicates > 0, "the events of that round come again: {found:?}");
    }
}

#[tokio::test]
async fn crash_after_an_effect_and_before_kafka_hears_of_the_offset_repeats_no_effect() {
    let mut platform = faults().await;
    // The order service writes nothing for most of what it reads: its own calls came first.
    crash_at(&mut platform, Part::Inventory, &format!("crash:{}@3", Point::ConsumerCommitted.name())).await.unwrap();
    crash_at(&mut platform, Part::Orders, &format!("crash:{}@3", Point::ConsumerCommitted.name())).await.unwrap();
}
