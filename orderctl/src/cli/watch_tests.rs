//! Against a server that breaks its streams as the real one does only when it is killed.

use std::pin::Pin;
use std::sync::{Arc, Mutex};

use proto::orders::v1 as orders;
use proto::orders::v1::order_service_server::{OrderService, OrderServiceServer};
use tokio_stream::Stream;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response, Streaming};

use super::*;

type Answer<T> = Result<Response<T>, Status>;
type Boxed<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;
/// What one WatchOrder stream sends before it ends.
type Script = Vec<Result<(u64, OrderStatus), Status>>;

/// Plays one script per call, the last one first, and notes where each call wanted to resume.
#[derive(Clone, Default)]
struct Scripted {
    scripts: Arc<Mutex<Vec<Script>>>,
    resumed_after: Arc<Mutex<Vec<u64>>>,
}

fn version((version, status): (u64, OrderStatus)) -> orders::WatchOrderResponse {
    let order = Order { version, status: status.into(), ..Order::default() };
    orders::WatchOrderResponse { order: Some(order) }
}

#[tonic::async_trait]
impl OrderService for Scripted {
    type WatchOrderStream = Boxed<orders::WatchOrderResponse>;
    type PlaceOrdersStream = Boxed<orders::PlaceOrdersResponse>;

    async fn watch_order(&self, request: Request<WatchOrderRequest>) -> Answer<Self::WatchOrderStream> {
        self.resumed_after.lock().expect("no panic").push(request.into_inner().after_version);
        let script = self.scripts.lock().expect("no panic").pop();
        let script = script.ok_or_else(|| Status::not_found("no such order"))?;
        let items = script.into_iter().map(|item| item.map(version));
        Ok(Response::new(Box::pin(tokio_stream::iter(items.collect::<Vec<_>>()))))
    }

    async fn get_order(&self, _: Request<orders::GetOrderRequest>) -> Answer<orders::GetOrderResponse> {
        let order = Order { status: OrderStatus::Confirmed.into(), ..Order::default() };
        Ok(Response::new(orders::GetOrderResponse { order: Some(order) }))
    }

    async fn place_order(&self, _: Request<orders::PlaceOrderRequest>) -> Answer<orders::PlaceOrderResponse> {
        Err(Status::unimplemented("not watched"))
    }

    async fn list_orders(&self, _: Request<orders::ListOrdersRequest>) -> Answer<orders::ListOrdersResponse> {
        Err(Status::unimplemented("not watched"))
    }

    async fn cancel_order(&self, _: Request<orders::CancelOrderRequest>) -> Answer<orders::CancelOrderResponse> {
        Err(Status::unimplemented("not watched"))
    }

    async fn fulfill_order(&self, _: Request<orders::FulfillOrderRequest>) -> Answer<orders::FulfillOrderResponse> {
        Err(Status::unimplemented("not watched"))
    }

    async fn place_orders(&self, _: Request<Streaming<orders::PlaceOrdersRequest>>) -> Answer<Self::PlaceOrdersStream> {
        Err(Status::unimplemented("not watched"))
    }
}

/// Watches an order on a server with these scripts: versions shown, versions resumed after, how it ended.
async fn watched(mut scripts: Vec<Script>, after: u64) -> (Vec<u64>, Vec<u64>, anyhow::Result<()>) {
    scripts.reverse();
    let server = Scripted { scripts: Arc::new(Mutex::new(scripts)), ..Scripted::default() };
    let resumed_after = server.resumed_after.clone();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
    let address: Address = listener.local_addr().expect("it is bound").to_string().parse().expect("an address");
    let router = tonic::transport::Server::builder().add_service(OrderServiceServer::new(server));
    let serving = tokio::spawn(router.serve_with_incoming(TcpListenerStream::new(listener)));

    let client = OrderServiceClient::new(client::connect(&address).await.expect("it listens"));
    let mut shown = Vec::new();
    let show = |order: Order| {
        shown.push(order.version);
        Ok(())
    };
    let ending = watch(client, &address, "o-1".to_owned(), after, show).await;
    serving.abort();
    let resumed_after = resumed_after.lock().expect("no panic").clone();
    (shown, resumed_after, ending)
}

#[tokio::test]
async fn final_version_ends_the_watch() {
    let script = vec![Ok((1, OrderStatus::Pending)), Ok((2, OrderStatus::Rejected))];
    let (shown, resumed_after, ending) = watched(vec![script], 0).await;
    assert_eq!((shown, resumed_after), (vec![1, 2], vec![0]));
    assert!(ending.is_ok());
}

#[tokio::test]
async fn broken_streams_are_resumed_behind_the_last_version_without_repeats() {
    let scripts = vec![
        vec![Ok((1, OrderStatus::Pending)), Err(Status::unavailable("going away"))],
        // A server that closes the stream of an order that is not over.
        vec![Ok((1, OrderStatus::Pending)), Ok((2, OrderStatus::Confirmed))],
        vec![Ok((2, OrderStatus::Confirmed)), Ok((3, OrderStatus::Fulfilled))],
    ];
    let (shown, resumed_after, ending) = watched(scripts, 0).await;
    assert_eq!(shown, [1, 2, 3]);
    assert_eq!(resumed_after, [0, 1, 2]);
    assert!(ending.is_ok());
}

#[tokio::test]
async fn refusal_ends_the_watch_with_an_error() {
    let (shown, _, ending) = watched(Vec::new(), 0).await;
    assert!(shown.is_empty());
    assert!(ending.expect_err("there is no such order").to_string().contains("NOT_FOUND"));
}
