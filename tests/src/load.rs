//! A client that places orders all the time and keeps a journal of what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use proto::orders::v1::OrderStatus;
use proto::reasons;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::refusal::Refusal;
use crate::shop::Shop;
use crate::waiting::eventually;

/// What one call may take.
const CALL_LIMIT: Duration = Duration::from_secs(4);
/// How long one order is tried for: longer than any outage of a test.
const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Reasons that say: try again.
const RETRYABLE: [&str; 4] =
    [reasons::DEPENDENCY_UNAVAILABLE, reasons::DRAINING, reasons::OVERLOADED, reasons::DEADLINE_EXCEEDED];

/// Order id by request id.
type Journal = BTreeMap<String, String>;

/// Workers that place one order after the other, each with a request id of its own, and repeat a call that fails until it
/// is answered.
#[derive(Debug)]
pub struct Load {
    stop: Arc<AtomicBool>,
    journal: Arc<Mutex<Journal>>,
    workers: Vec<JoinHandle<()>>,
}

impl Load {
    /// Starts the workers: orders of one unit of one of `skus`.
    #[must_use]
    pub fn start(shop: &Shop, skus: &[String], workers: usize) -> Self {
        let (stop, journal) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Journal::new())));
        let worker = |number: usize| {
            let (mut shop, stop, journal) = (shop.clone(), Arc::clone(&stop), Arc::clone(&journal));
            let sku = skus[number % skus.len()].clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request_id = Uuid::new_v4().to_string();
                    let order_id = place(&mut shop, &sku, &request_id).await;
                    journal.lock().unwrap_or_else(PoisonError::into_inner).insert(request_id, order_id);
                }
            })
        };
        Self { workers: (0..workers).map(worker).collect(), stop, journal }
    }

    /// Waits until so many more orders were acknowledged.
    pub async fn goes_on(&self, orders: usize, limit: Duration) {
        let begin = self.acknowledged();
        eventually(limit, async || {
            let more = self.acknowledged() - begin;
            ensure!(more >= orders, "{more} of {orders} orders were acknowledged");
            Ok(())
        })
        .await;
    }

    /// Lets every worker finish the order that it is at, and returns the journal.
    ///
    /// # Panics
    /// When an order was not acknowledged for a minute, or was answered with an error that says not to try again.
    pub async fn stop(self) -> BTreeMap<String, String> {
        self.stop.store(true, Ordering::Relaxed);
        for worker in self.workers {
            worker.await.expect("every order is acknowledged in the end");
        }
        let journal = self.journal.lock().unwrap_or_else(PoisonError::into_inner);
        journal.clone()
    }

    fn acknowledged(&self) -> usize {
        self.journal.lock().unwrap_or_else(PoisonError::into_inner).len()
    }
}

async fn place(shop: &mut Shop, sku: &str, request_id: &str) -> String {
    let mut message = shop.request(&[(sku, 1)]);
    request_id.clone_into(&mut message.request_id);
    let begun = Instant::now();
    loop {
        let mut request = Request::new(message.clone());
        request.set_timeout(CALL_LIMIT);
        match shop.orders.place_order(request).await {
            Ok(answer) => {
                let order = answer.into_inner().order.expect("an answer has an order");
                assert!(matches!(order.status(), OrderStatus::Pending | OrderStatus::Confirmed), "{order:?}");
                return order.order_id;
            }
            Err(status) => {
                assert!(may_be_repeated(&status), "an error that does not say to try again: {status:?}");
                assert!(begun.elapsed() < PATIENCE, "request {request_id} is still answered with {status:?}");
            }
        }
        tokio::time::sleep(PAUSE).await;
    }
}

/// A service that answers must give one of the reasons; without any it did not answer: its connection broke, or the
/// client's own clock ran out.
fn may_be_repeated(status: &Status) -> bool {
    let reason = Refusal::of(status).reason;
    reason.is_empty() || RETRYABLE.contains(&reason.as_str())
}

/// I1: every acknowledged order is there, under its own id, and every request made one order.
///
/// # Panics
/// When one is missing or doubled.
pub async fn assert_all_there(journal: &BTreeMap<String, String>, customer: &str, orders: &PgPool) {
    let rows: Vec<(String, String)> =
        sqlx::query_as("select request_id, order_id::text from orders where customer_id = $1")
            .bind(customer)
            .fetch_all(orders)
            .await
            .expect("the database answers");
    let made = rows.len();
    let there = BTreeMap::from_iter(rows);
    assert_eq!(there.len(), made, "a request made two orders");
    assert_eq!(&there, journal, "what was acknowledged is what is there");
}
