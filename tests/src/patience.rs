//! Calls that are repeated until their answer is certain, and what the answers before it promised.

use std::time::{Duration, Instant};

use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{CancelOrderRequest, FulfillOrderRequest, Order, OrderStatus, PlaceOrderRequest};
use proto::{headers, reasons};
use tonic::transport::Channel;
use tonic::{Response, Status};

use crate::refusal::Refusal;
use crate::shop::Shop;

/// What one call may take: the deadline that a service sets when its caller sets none, and as much again for a machine
/// that is busy. Whoever waits longer waits for ever.
const CALL_LIMIT: Duration = Duration::from_secs(10);
/// How long one call is repeated: longer than any outage of a test.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(20);

/// Reasons that say: try again.
const RETRYABLE: [&str; 4] =
    [reasons::DEPENDENCY_UNAVAILABLE, reasons::DRAINING, reasons::OVERLOADED, reasons::DEADLINE_EXCEEDED];
/// Those that promise that nothing was written.
const NOTHING_WRITTEN: [&str; 2] = [reasons::DEPENDENCY_UNAVAILABLE, reasons::OVERLOADED];

/// A certain answer, and what came before it.
#[derive(Debug)]
pub struct Answered<T> {
    /// The answer, or a refusal that no repetition changes.
    pub answer: Result<Response<T>, Box<Refusal>>,
    /// An earlier try may have done what was asked for.
    pub in_doubt: bool,
}

/// Calls the order service with `message`, again and again until the answer is something else than: try again.
///
/// # Panics
/// When a call gets no answer at all, or none but "try again" for a minute.
pub async fn answered<M: Clone, T, F>(
    client: &OrderServiceClient<Channel>,
    message: &M,
    call: impl Fn(OrderServiceClient<Channel>, M) -> F,
) -> Answered<T>
where
    F: Future<Output = Result<Response<T>, Status>>,
{
    let begun = Instant::now();
    let mut in_doubt = false;
    loop {
        let answer = tokio::time::timeout(CALL_LIMIT, call(client.clone(), message.clone())).await;
        let status = match answer.expect("a call is answered, or its connection breaks") {
            Ok(response) => return Answered { answer: Ok(response), in_doubt },
            Err(status) => status,
        };
        let refusal = Box::new(Refusal::of(&status));
        // Without any reason no service has answered: the connection broke.
        if !refusal.reason.is_empty() && !RETRYABLE.contains(&refusal.reason.as_str()) {
            return Answered { answer: Err(refusal), in_doubt };
        }
        in_doubt |= !promises_that_nothing_was_written(&refusal);
        assert!(begun.elapsed() < PATIENCE, "still answered with {status:?}");
        tokio::time::sleep(PAUSE).await;
    }
}

/// Whether the call that was refused so has certainly done nothing.
pub(crate) fn promises_that_nothing_was_written(refusal: &Refusal) -> bool {
    NOTHING_WRITTEN.contains(&refusal.reason.as_str())
}

/// Places an order, however often it takes. `request` has a request id.
///
/// # Panics
/// As [`answered`]; when the order is refused; and when a try made the order whose answer promised that nothing was
/// written.
pub async fn place(shop: &Shop, request: &PlaceOrderRequest) -> Order {
    let call = |mut client: OrderServiceClient<_>, request| async move { client.place_order(request).await };
    let Answered { answer, in_doubt } = answered(&shop.orders, request, call).await;
    let response = answer.unwrap_or_else(|refusal| panic!("the order is refused: {refusal:?}"));
    let is_replay = response.metadata().contains_key(headers::IDEMPOTENT_REPLAY);
    let order = response.into_inner().order.expect("an answer has an order");
    assert!(in_doubt || !is_replay, "{} was made by a try that was said to have written nothing", order.order_id);
    assert_ne!(order.status(), OrderStatus::Unspecified);
    order
}

/// Cancels an order, however often it takes.
///
/// # Errors
/// What the service refuses it with.
///
/// # Panics
/// As [`answered`].
pub async fn cancel(shop: &Shop, order_id: &str) -> Result<Order, Box<Refusal>> {
    let request = CancelOrderRequest { order_id: order_id.to_owned(), note: String::new() };
    let call = |mut client: OrderServiceClient<_>, request| async move { client.cancel_order(request).await };
    let response = answered(&shop.orders, &request, call).await.answer?;
    Ok(response.into_inner().order.expect("an answer has an order"))
}

/// Fulfils an order, however often it takes.
///
/// # Errors
/// What the service refuses it with.
///
/// # Panics
/// As [`answered`].
pub async fn fulfil(shop: &Shop, order_id: &str) -> Result<Order, Box<Refusal>> {
    let request = FulfillOrderRequest { order_id: order_id.to_owned() };
    let call = |mut client: OrderServiceClient<_>, request| async move { client.fulfill_order(request).await };
    let response = answered(&shop.orders, &request, call).await.answer?;
    Ok(response.into_inner().order.expect("an answer has an order"))
}
