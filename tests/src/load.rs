//! A client that places orders all the time and keeps a journal of what was acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::ensure;
use proto::orders::v1::OrderStatus;
use sqlx::PgPool;
use tokio::task::JoinHandle;
use uuid::Uuid;

use crate::patience;
use crate::shop::Shop;
use crate::waiting::eventually;

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
            let (shop, stop, journal) = (shop.clone(), Arc::clone(&stop), Arc::clone(&journal));
            let sku = skus[number % skus.len()].clone();
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let request_id = Uuid::new_v4().to_string();
                    let order_id = place(&shop, &sku, &request_id).await;
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

async fn place(shop: &Shop, sku: &str, request_id: &str) -> String {
    let mut request = shop.request(&[(sku, 1)]);
    request_id.clone_into(&mut request.request_id);
    let order = patience::place(shop, &request).await;
    assert!(matches!(order.status(), OrderStatus::Pending | OrderStatus::Confirmed), "{order:?}");
    order.order_id
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
