//! Services are restarted in order while they are called: nobody who was accepted is let down.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use anyhow::ensure;
use proto::orders::v1::{OrderStatus, PlaceOrderRequest};
use rustix::process::Signal;
use tests::audit;
use tests::platform::Platform;
use tests::service::Part;
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tokio::task::JoinHandle;
use tonic::{Request, Status};
use uuid::Uuid;

use crate::support::{faults, second_replicas};

const CALLERS: usize = 8;
const DEADLINE: Duration = Duration::from_secs(5);
/// Orders between two restarts.
const BETWEEN: usize = 100;

/// Callers who never stop by themselves, and what they were answered.
struct Customers {
    stop: Arc<AtomicBool>,
    answered: Arc<AtomicUsize>,
    tasks: Vec<JoinHandle<Told>>,
}

#[derive(Default)]
struct Told {
    pending: usize,
    /// Placements that failed at every replica that they were sent to, and how at last.
    failed: Vec<(Uuid, Status)>,
}

impl Customers {
    /// Each sends a placement to one of `shops`; if that fails, once to the next, if there is one.
    fn start(shops: &[Shop], sku: &str) -> Self {
        let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let customer = |number: usize| {
            let (stop, answered) = (Arc::clone(&stop), Arc::clone(&answered));
            let mut shops = shops.to_vec();
            let count = shops.len();
            shops.rotate_left(number % count);
            let order = shops[0].request(&[(sku, 1)]);
            tokio::spawn(async move {
                let mut told = Told::default();
                while !stop.load(Ordering::Relaxed) {
                    let request_id = Uuid::new_v4();
                    let order = PlaceOrderRequest { request_id: request_id.to_string(), ..order.clone() };
                    match place(&shops, &order).await {
                        Ok(status) => {
                            told.pending += usize::from(status == OrderStatus::Pending);
                            answered.fetch_add(1, Ordering::Relaxed);
                        }
                        Err(status) => told.failed.push((request_id, status)),
                    }
                }
                told
            })
        };
        Self { tasks: (0..CALLERS).map(customer).collect(), stop, answered }
    }

    async fn go_on(&self) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually(seconds(30), async || {
            let more = self.answered.load(Ordering::Relaxed) - before;
            ensure!(more >= BETWEEN, "{more} of {BETWEEN} placements were answered");
            Ok(())
        })
        .await;
    }

    async fn stop(self) -> Told {
        self.stop.store(true, Ordering::Relaxed);
        let mut all = Told::default();
        for task in self.tasks {
            let told = task.await.unwrap();
            all.pending += told.pending;
            all.failed.extend(told.failed);
        }
        all
    }
}

async fn place(shops: &[Shop], order: &PlaceOrderRequest) -> Result<OrderStatus, Status> {
    let mut failure = Status::unavailable("nobody was asked");
    for shop in shops {
        let mut request = Request::new(order.clone());
        request.set_timeout(DEADLINE);
        match shop.orders.clone().place_order(request).await {
            Ok(answer) => return Ok(answer.into_inner().order.unwrap().status()),
            Err(status) => failure = status,
        }
    }
    Err(failure)
}

#[tokio::test]
async fn rolling_restart_fails_no_call_of_a_client_that_tries_twice() {
    let mut platform = faults().await;
    let (mut second, mut second_inventory) = second_replicas(&mut platform, &[]).await;
    let mut shop = platform.shop();
    let sku = shop.stocked("wheel", 1_000_000, (5, 0)).await;
    let other = Shop { orders: second.orders(), ..shop.clone() };
    let customers = Customers::start(&[shop, other], &sku);

    customers.go_on().await;
    {
        let Platform { orders, inventory, .. } = &mut *platform;
        for service in [inventory, &mut second_inventory, orders, &mut second] {
            service.restart().await;
            customers.go_on().await;
        }
    }
    let told = customers.stop().await;

    assert!(told.failed.is_empty(), "{} calls failed at both replicas: {:?}", told.failed.len(), told.failed.first());
    eprintln!("{} placements were answered PENDING", told.pending);
    second.stop().await;
    second_inventory.stop().await;
    audit::whole(&platform, seconds(40)).await;
}

#[tokio::test]
async fn call_that_fails_while_the_service_stops_was_not_accepted() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("axle", 1_000_000, (5, 0)).await;
    let mut failed = Vec::new();
    for _ in 0..3 {
        let customers = Customers::start(std::slice::from_ref(&shop), &sku);
        customers.go_on().await;
        platform.orders.signal(Signal::TERM);
        let code = platform.orders.exit_code().await;
        assert_eq!(code, Some(0), "{}", platform.orders.last_lines());
        failed.extend(customers.stop().await.failed);
        platform.orders.start_ready().await;
    }

    assert!(!failed.is_empty(), "calls have to meet the stop");
    let requests: Vec<String> = failed.iter().map(|(request_id, _)| request_id.to_string()).collect();
    let placed: Vec<String> = sqlx::query_scalar("select request_id from orders where request_id = any($1)")
        .bind(&requests)
        .fetch_all(&platform.database(Part::Orders))
        .await
        .unwrap();
    let told: Vec<_> = failed.iter().filter(|(request_id, _)| placed.contains(&request_id.to_string())).collect();
    assert!(told.is_empty(), "{} orders were placed, and their callers told that they failed: {told:#?}", told.len());
    audit::whole(&platform, seconds(40)).await;
}
