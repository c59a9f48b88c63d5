//! Callers who place orders all the time, repeat what fails until it is answered, and cancel or fulfil some.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::ensure;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{CancelOrderRequest, FulfillOrderRequest, Order, OrderStatus};
use proto::{headers, reasons};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use tokio::task::JoinHandle;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use uuid::Uuid;

use super::journal::{Entry, Journal};
use super::meter::Meter;
use crate::patience;
use crate::refusal::Refusal;
use crate::shop::Shop;
use crate::waiting::eventually;

/// What one call may take; also its deadline for the service.
const CALL_LIMIT: Duration = Duration::from_secs(3);
/// How long one call is repeated: longer than any fault.
const PATIENCE: Duration = Duration::from_secs(120);
const PAUSE: Duration = Duration::from_millis(20);
const SKUS: usize = 20;
const MOST_LINES: usize = 2;
/// Of ten orders, those that are cancelled, and those that are fulfilled.
const ENDED: (u32, u32) = (1, 1);

/// Callers at work.
#[derive(Debug)]
pub struct Callers {
    /// Whose orders they are.
    pub customer: String,
    stop: Arc<AtomicBool>,
    /// Placements that were answered.
    answered: Arc<AtomicUsize>,
    findings: Arc<Mutex<Vec<String>>>,
    tasks: Vec<JoinHandle<()>>,
}

/// An answer, and whether a try before it may have done what was asked for.
struct Answered<T> {
    answer: T,
    in_doubt: bool,
}

struct Caller {
    /// One of each replica.
    shops: Vec<Shop>,
    skus: Arc<Vec<String>>,
    chance: StdRng,
    journal: Journal,
    meter: Meter,
    answered: Arc<AtomicUsize>,
}

impl Callers {
    /// Starts `count` of them, at `shops`, one for each replica, on stock that lasts.
    pub async fn start(
        chance: &mut StdRng,
        mut shops: Vec<Shop>,
        count: usize,
        journal: &Journal,
        meter: &Meter,
    ) -> Self {
        let mut skus = Vec::new();
        for number in 0..SKUS {
            let name = format!("thing-{number}");
            skus.push(shops[0].stocked(&name, 1_000_000_000, (2, 500_000_000)).await);
        }
        let skus = Arc::new(skus);
        let (stop, findings) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Vec::new())));
        let answered = Arc::new(AtomicUsize::new(0));
        let start = |_| {
            let mut caller = Caller {
                shops: shops.clone(),
                skus: Arc::clone(&skus),
                chance: StdRng::from_rng(chance),
                journal: journal.clone(),
                meter: meter.clone(),
                answered: Arc::clone(&answered),
            };
            let (stop, findings) = (Arc::clone(&stop), Arc::clone(&findings));
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    if let Err(finding) = caller.buy().await {
                        findings.lock().unwrap_or_else(PoisonError::into_inner).push(finding);
                        return;
                    }
                }
            })
        };
        let customer = shops[0].customer.clone();
        Self { tasks: (0..count).map(start).collect(), customer, stop, answered, findings }
    }

    /// Waits until so many more placements were answered, or somebody was told what must not be.
    ///
    /// # Panics
    /// When neither is within `limit`.
    pub async fn go_on(&self, placements: usize, limit: Duration) {
        let before = self.answered.load(Ordering::Relaxed);
        eventually(limit, async || {
            let more = self.answered.load(Ordering::Relaxed) - before;
            ensure!(more >= placements || self.have_findings(), "{more} of {placements} placements were answered");
            Ok(())
        })
        .await;
    }

    /// Whether somebody was told what must not be.
    #[must_use]
    pub fn have_findings(&self) -> bool {
        !self.findings.lock().unwrap_or_else(PoisonError::into_inner).is_empty()
    }

    /// Lets everyone finish, and returns what they were told that must not be.
    ///
    /// # Panics
    /// When a caller did.
    pub async fn stop(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        for task in self.tasks {
            task.await.expect("callers report, they do not panic");
        }
        std::mem::take(&mut self.findings.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Caller {
    async fn buy(&mut self) -> Result<(), String> {
        let request_id = Uuid::new_v4();
        let count = self.chance.random_range(1..=MOST_LINES);
        let skus: Vec<(&str, u32)> = self.skus.sample(&mut self.chance, count).map(|sku| (sku.as_str(), 1)).collect();
        let mut request = self.shops[0].request(&skus);
        request.request_id = request_id.to_string();
        let home = self.chance.random_range(0..self.shops.len());

        self.journal.write(Entry::Sent(request_id)).await;
        let place = |mut client: OrderServiceClient<_>, request| async move {
            let response = client.place_order(request).await?;
            let is_replay = response.metadata().contains_key(headers::IDEMPOTENT_REPLAY);
            Ok(response.into_inner().order.map(|order| (order, is_replay)))
        };
        let placed = self.answered(home, &request, place).await.map_err(|status| refused("PlaceOrder", &status))?;
        let Answered { answer: (order, is_replay), in_doubt } = placed;
        if is_replay && !in_doubt {
            return Err(format!("{} was made by a try that was said to have written nothing", order.order_id));
        }
        let order_id = id_of(&order)?;
        self.journal.write(Entry::Placed(request_id, order_id, order.status())).await;
        self.answered.fetch_add(1, Ordering::Relaxed);
        match order.status() {
            OrderStatus::Pending => {}
            OrderStatus::Confirmed => self.meter.count(),
            told => return Err(format!("{order_id} is {told:?}, though there is stock and nobody ended it")),
        }

        let draw = self.chance.random_range(0..10);
        if draw < ENDED.0 {
            let request = CancelOrderRequest { order_id: order.order_id, note: String::new() };
            let cancel = |mut client: OrderServiceClient<_>, request| async move {
                Ok(client.cancel_order(request).await?.into_inner().order)
            };
            let ended =
                self.answered(home, &request, cancel).await.map_err(|status| refused("CancelOrder", &status))?;
            self.journal.write(Entry::Ended(order_id, ended.answer.status())).await;
        } else if draw < ENDED.0 + ENDED.1 {
            let request = FulfillOrderRequest { order_id: order.order_id.clone() };
            let fulfil = |mut client: OrderServiceClient<_>, request| async move {
                Ok(client.fulfill_order(request).await?.into_inner().order)
            };
            match self.answered(home, &request, fulfil).await {
                Ok(ended) => self.journal.write(Entry::Ended(order_id, ended.answer.status())).await,
                // Nothing can be fulfilled that inventory has not confirmed yet.
                Err(status) if order.status() == OrderStatus::Pending && is_too_early(&status) => {}
                Err(status) => return Err(refused("FulfillOrder", &status)),
            }
        }
        Ok(())
    }

    /// Calls one replica after the other, from `home` on, until the answer is something else than: try again.
    async fn answered<M: Clone, T, F>(
        &self,
        home: usize,
        message: &M,
        call: impl Fn(OrderServiceClient<Channel>, Request<M>) -> F,
    ) -> Result<Answered<T>, Box<Status>>
    where
        F: Future<Output = Result<Option<T>, Status>>,
    {
        let begun = Instant::now();
        let mut in_doubt = false;
        for replica in (0..self.shops.len()).cycle().skip(home) {
            let mut request = Request::new(message.clone());
            request.set_timeout(CALL_LIMIT);
            let calling = tokio::time::timeout(CALL_LIMIT, call(self.shops[replica].orders.clone(), request));
            let status = match calling.await {
                Ok(Ok(Some(answer))) => return Ok(Answered { answer, in_doubt }),
                Ok(Ok(None)) => Status::internal("an answer without an order"),
                Ok(Err(status)) => status,
                Err(_) => Status::deadline_exceeded("no answer at all"),
            };
            if !is_retryable(&status) || begun.elapsed() > PATIENCE {
                return Err(Box::new(status));
            }
            in_doubt |= !patience::promises_that_nothing_was_written(&Refusal::of(&status));
            tokio::time::sleep(PAUSE).await;
        }
        unreachable!("a cycle does not end")
    }
}

/// What says: try again, or comes from no service at all.
fn is_retryable(status: &Status) -> bool {
    let refusal = Refusal::of(status);
    match status.code() {
        Code::Unavailable | Code::DeadlineExceeded | Code::Cancelled => true,
        Code::ResourceExhausted => refusal.reason == reasons::OVERLOADED,
        // Without any reason no service has answered: the connection broke.
        _ => refusal.reason.is_empty(),
    }
}

fn is_too_early(status: &Status) -> bool {
    let refusal = Refusal::of(status);
    refusal.reason == reasons::ORDER_STATE && refusal.metadata.get("status").is_some_and(|status| status == "PENDING")
}

fn refused(call: &str, status: &Status) -> String {
    format!("{call} is answered with {:?}: {}", status.code(), status.message())
}

fn id_of(order: &Order) -> Result<Uuid, String> {
    order.order_id.parse().map_err(|_| format!("{:?} is no order id", order.order_id))
}
