//! An order service that does what the order id says.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use observability::spans::DatabaseSpan;
use opentelemetry::Context;
use proto::orders::v1::order_service_server::OrderService;
use proto::orders::v1::{
    CancelOrderRequest, CancelOrderResponse, FulfillOrderRequest, FulfillOrderResponse, GetOrderRequest,
    GetOrderResponse, ListOrdersRequest, ListOrdersResponse, Order, PlaceOrderRequest, PlaceOrderResponse,
    PlaceOrdersRequest, PlaceOrdersResponse, WatchOrderRequest, WatchOrderResponse,
};
use proto::reasons::ORDER_NOT_FOUND;
use tonic::{Request, Response, Status, Streaming};
use transport::deadline::Deadline;
use transport::error::ErrorDomain;
use transport::server::Principal;

/// What handlers saw of their calls.
#[derive(Clone, Default)]
pub(crate) struct Seen(Arc<Mutex<SeenCalls>>);

#[derive(Default)]
struct SeenCalls {
    /// What was left of the deadline; one entry for each call.
    deadlines: Vec<Duration>,
    /// One for each connection.
    peers: HashSet<SocketAddr>,
}

pub(crate) struct Stub(pub(crate) Seen);

type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

impl Seen {
    pub(crate) fn deadlines(&self) -> Vec<Duration> {
        self.0.lock().unwrap().deadlines.clone()
    }

    pub(crate) fn connections(&self) -> usize {
        self.0.lock().unwrap().peers.len()
    }

    /// Calls so far.
    pub(crate) fn count(&self) -> usize {
        self.0.lock().unwrap().deadlines.len()
    }

    fn add<T>(&self, request: &Request<T>) {
        let mut seen = self.0.lock().unwrap();
        seen.deadlines.push(Deadline::of(request).remaining());
        seen.peers.extend(request.remote_addr());
    }
}

fn named(order_id: String) -> GetOrderResponse {
    GetOrderResponse { order: Some(Order { order_id, ..Order::default() }) }
}

#[tonic::async_trait]
impl OrderService for Stub {
    type WatchOrderStream = Answers<WatchOrderResponse>;
    type PlaceOrdersStream = Answers<PlaceOrdersResponse>;

    async fn get_order(&self, request: Request<GetOrderRequest>) -> Result<Response<GetOrderResponse>, Status> {
        self.0.add(&request);
        match request.get_ref().order_id.as_str() {
            "missing" => Err(ErrorDomain::ORDERS.not_found(ORDER_NOT_FOUND, "orders.v1.Order", "missing")),
            "panic" => panic!("secret of the handler"),
            "hang" => std::future::pending().await,
            "away" => Err(ErrorDomain::ORDERS.unavailable("database", Duration::ZERO)),
            "away-once" if self.0.count() % 2 == 1 => Err(ErrorDomain::ORDERS.unavailable("database", Duration::ZERO)),
            "overloaded" => Err(ErrorDomain::ORDERS.overloaded(Duration::ZERO)),
            "come-back" if self.0.count() == 1 => Err(ErrorDomain::ORDERS.overloaded(Duration::from_millis(200))),
            "never" => Err(never()),
            "large" => Ok(Response::new(named("x".repeat(2 * super::MAX_MESSAGE_BYTES)))),
            "who" => {
                let principal = request.extensions().get::<Principal>();
                Ok(Response::new(named(principal.map_or("nobody", Principal::name).to_owned())))
            }
            _ => {
                tokio::task::yield_now().await;
                DatabaseSpan::start("get_order", "SELECT orders", &Context::current()).end(None);
                Ok(Response::new(GetOrderResponse::default()))
            }
        }
    }

    async fn watch_order(
        &self,
        request: Request<WatchOrderRequest>,
    ) -> Result<Response<Answers<WatchOrderResponse>>, Status> {
        self.0.add(&request);
        let first = stream::iter([Ok(WatchOrderResponse::default())]);
        Ok(Response::new(match request.get_ref().order_id.as_str() {
            "panic" => Box::pin(first.chain(stream::once(late_panic()))),
            "hang" => Box::pin(first.chain(stream::pending())),
            "fail" => Box::pin(first.chain(stream::iter([Err(ErrorDomain::ORDERS.draining(Duration::ZERO))]))),
            _ => Box::pin(first),
        }))
    }

    async fn place_order(&self, _: Request<PlaceOrderRequest>) -> Result<Response<PlaceOrderResponse>, Status> {
        Err(ErrorDomain::ORDERS.unimplemented())
    }

    async fn list_orders(&self, _: Request<ListOrdersRequest>) -> Result<Response<ListOrdersResponse>, Status> {
        Err(ErrorDomain::ORDERS.unimplemented())
    }

    async fn cancel_order(&self, _: Request<CancelOrderRequest>) -> Result<Response<CancelOrderResponse>, Status> {
        Err(ErrorDomain::ORDERS.unimplemented())
    }

    async fn fulfill_order(&self, _: Request<FulfillOrderRequest>) -> Result<Response<FulfillOrderResponse>, Status> {
        Err(ErrorDomain::ORDERS.unimplemented())
    }

    async fn place_orders(
        &self,
        _: Request<Streaming<PlaceOrdersRequest>>,
    ) -> Result<Response<Answers<PlaceOrdersResponse>>, Status> {
        Err(ErrorDomain::ORDERS.unimplemented())
    }
}

/// Says by gRPC's own header that it must not be asked again.
fn never() -> Status {
    let mut status = Status::unavailable("away for good");
    status.metadata_mut().insert("grpc-retry-pushback-ms", "-1".parse().unwrap());
    status
}

/// Later than the message before it, which is sent when the stream pauses.
async fn late_panic() -> Result<WatchOrderResponse, Status> {
    tokio::task::yield_now().await;
    panic!("secret of the stream")
}
