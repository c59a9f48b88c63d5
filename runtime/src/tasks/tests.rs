use std::convert::Infallible;
use std::future::{pending, ready};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;

/// Longer than anything here takes; a test that needs it fails.
const PATIENCE: Duration = Duration::from_secs(10);

#[tokio::test]
async fn panicking_task_fails_the_process_by_name() {
    let supervisor = Supervisor::new();
    let group = TaskGroup::new("relay", &supervisor);
    group.spawn("publisher", async {
        ready(()).await;
        if supervisor_exists() {
            panic!("index {} out of range", 7);
        }
        Ok::<_, Infallible>(())
    });
    let failure = timeout(PATIENCE, supervisor.failed()).await.unwrap();
    assert_eq!(failure.to_string(), "task relay/publisher failed: panicked: index 7 out of range");
}

#[tokio::test]
async fn task_that_ends_by_error_fails_the_process_and_the_first_one_counts() {
    let supervisor = Supervisor::new();
    let group = TaskGroup::new("consumers", &supervisor);
    group.spawn("orders", ready(Err("no such topic")));
    let failure = timeout(PATIENCE, supervisor.failed()).await.unwrap();
    group.spawn("inventory", ready(Err("too late")));
    group.stop(PATIENCE).await;

    assert_eq!(failure, TaskFailure { task: "consumers/orders".to_owned(), problem: "no such topic".to_owned() });
    assert_eq!(supervisor.failure(), Some(failure));
}

#[tokio::test]
async fn task_that_is_done_or_fails_while_stopping_is_no_failure() {
    let supervisor = Supervisor::new();
    let group = TaskGroup::new("consumers", &supervisor);
    group.spawn("done", ready(Ok::<_, Infallible>(())));
    let stop = group.stop_token();
    group.spawn("disconnected", async move {
        stop.cancelled().await;
        Err("connection closed")
    });
    group.stop(PATIENCE).await;
    assert_eq!(supervisor.failure(), None);
    assert_eq!(supervisor.running(), Vec::<String>::new());
}

#[tokio::test]
async fn stop_waits_until_every_task_has_ended() {
    let supervisor = Supervisor::new();
    let group = TaskGroup::new("writers", &supervisor);
    let ended = Arc::new(AtomicBool::new(false));
    let (stop, ends) = (group.stop_token(), Arc::clone(&ended));
    group.spawn("orders", async move {
        stop.cancelled().await;
        tokio::task::yield_now().await;
        ends.store(true, Ordering::SeqCst);
        Ok::<_, Infallible>(())
    });
    assert_eq!(supervisor.running(), ["writers/orders"]);

    group.stop(PATIENCE).await;
    assert!(ended.load(Ordering::SeqCst));
    assert_eq!(supervisor.abandoned(), Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn stop_names_and_aborts_the_task_that_does_not_end() {
    let supervisor = Supervisor::new();
    let group = TaskGroup::new("relay", &supervisor);
    let aborted = Arc::new(AtomicBool::new(false));
    let guard = SetOnDrop(Arc::clone(&aborted));
    group.spawn("deaf", async move {
        let _guard = guard;
        pending::<Result<(), Infallible>>().await
    });
    let other = TaskGroup::new("relay", &supervisor);
    other.spawn("innocent", pending::<Result<(), Infallible>>());

    group.stop(Duration::from_secs(3)).await;
    assert_eq!(supervisor.abandoned(), ["relay/deaf"]);
    let the_other_is_left = async {
        while supervisor.running() != ["relay/innocent"] {
            sleep(Duration::from_millis(1)).await;
        }
    };
    timeout(PATIENCE, the_other_is_left).await.unwrap();
    assert!(aborted.load(Ordering::SeqCst));
    assert_eq!(supervisor.failure(), None);
}

#[tokio::test]
async fn group_that_is_dropped_cancels_its_token() {
    let group = TaskGroup::new("calls", &Supervisor::new());
    let stop = group.stop_token();
    let clone = group.clone();
    drop(group);
    assert!(!stop.is_cancelled());
    drop(clone);
    assert!(stop.is_cancelled());
}

/// Always true, without the compiler knowing.
fn supervisor_exists() -> bool {
    std::hint::black_box(true)
}

struct SetOnDrop(Arc<AtomicBool>);

impl Drop for SetOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}
