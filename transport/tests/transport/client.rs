//! The client's stack: traces that go on at the server, calls that can't hang, connections to every address.

use std::time::{Duration, Instant};

use crate::support::{Recording, TestServer, eventually, stack};
use opentelemetry::trace::{SpanKind, Status as SpanStatus};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, WatchOrderRequest};
use tokio::net::TcpListener;
use tonic::{Code, Request};
use transport::client::ClientStack;

const GET: &str = "orders.v1.OrderService/GetOrder";

fn get(order_id: &str) -> GetOrderRequest {
    GetOrderRequest { order_id: order_id.to_owned() }
}

#[tokio::test]
async fn trace_goes_from_the_client_through_the_server_to_the_database() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let target = server.address.to_string();
    let ok = recording.client_calls(GET, "OK", &target);
    stack(&format!("http://{target}")).get_order(get("any")).await.unwrap();
    assert_eq!(ok.grown(), 1.0);

    eventually("all spans have ended", || recording.spans().len() == 3).await;
    let spans = recording.spans();
    let of_kind = |kind: SpanKind| spans.iter().find(|span| span.name == GET && span.span_kind == kind).unwrap();
    let (client, served) = (of_kind(SpanKind::Client), of_kind(SpanKind::Server));
    let database = spans.iter().find(|span| span.name == "SELECT orders").unwrap();
    assert_eq!(served.span_context.trace_id(), client.span_context.trace_id());
    assert_eq!(served.parent_span_id, client.span_context.span_id());
    assert!(served.parent_span_is_remote);
    assert_eq!(database.parent_span_id, served.span_context.span_id());
    let address = client.attributes.iter().find(|attribute| attribute.key.as_str() == "server.address").unwrap();
    assert_eq!(address.value.to_string(), target);
}

#[tokio::test]
async fn refusal_is_an_error_to_the_client_and_none_to_the_server() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    stack(&format!("http://{}", server.address)).get_order(get("missing")).await.unwrap_err();
    eventually("both spans have ended", || recording.spans().len() == 2).await;
    for span in recording.spans() {
        let expected =
            if span.span_kind == SpanKind::Client { SpanStatus::error("NOT_FOUND") } else { SpanStatus::Unset };
        assert_eq!(span.status, expected);
    }
}

#[tokio::test]
async fn server_sees_what_is_left_of_the_caller_s_time() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let mut client = stack(&format!("http://{}", server.address));
    let mut request = Request::new(get("any"));
    transport::deadline::Deadline::after(Duration::from_secs(30)).apply_to(&mut request);
    client.get_order(request).await.unwrap();
    client.get_order(get("any")).await.unwrap();
    let deadlines = server.seen.deadlines();
    assert!((Duration::from_secs(25)..=Duration::from_secs(30)).contains(&deadlines[0]), "{deadlines:?}");
    assert!((Duration::from_secs(4)..=Duration::from_secs(5)).contains(&deadlines[1]), "{deadlines:?}");
}

#[tokio::test]
async fn peer_that_never_answers_can_not_hang_a_call() {
    let recording = Recording::start().await;
    // Accepted by the kernel and by nobody else.
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let exceeded = recording.client_calls(GET, "DEADLINE_EXCEEDED", &target);
    let mut request = Request::new(get("any"));
    request.set_timeout(Duration::from_millis(100));
    let begin = Instant::now();
    let status = stack(&format!("http://{target}")).get_order(request).await.unwrap_err();
    assert_eq!(status.code(), Code::DeadlineExceeded);
    assert!(begin.elapsed() < Duration::from_secs(3), "{:?}", begin.elapsed());
    assert_eq!(exceeded.grown(), 1.0);
}

#[tokio::test]
async fn stream_without_a_deadline_outlives_the_default_and_one_with_it_ends() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let mut client = stack(&format!("http://{}", server.address));
    let hang = || WatchOrderRequest { order_id: "hang".to_owned(), ..WatchOrderRequest::default() };
    let mut endless = client.watch_order(hang()).await.unwrap().into_inner();
    endless.message().await.unwrap().unwrap();

    let mut request = Request::new(hang());
    request.set_timeout(Duration::from_millis(100));
    let mut limited = client.watch_order(request).await.unwrap().into_inner();
    limited.message().await.unwrap().unwrap();
    assert_eq!(limited.message().await.unwrap_err().code(), Code::DeadlineExceeded);
    let waited = tokio::time::timeout(Duration::from_millis(10), endless.message()).await;
    assert!(waited.is_err(), "{waited:?}");
}

#[tokio::test]
async fn target_that_is_away_is_unavailable() {
    let recording = Recording::start().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = listener.local_addr().unwrap().to_string();
    drop(listener);
    let unavailable = recording.client_calls(GET, "UNAVAILABLE", &target);
    let status = stack(&format!("http://{target}")).get_order(get("any")).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert_eq!(unavailable.grown(), 1.0);
}

#[tokio::test]
async fn calls_are_spread_over_all_addresses() {
    let _recording = Recording::start().await;
    let (one, other) = (TestServer::start().await, TestServer::start().await);
    let mut client = stack(&format!("http://{},http://{}", one.address, other.address));
    for _ in 0..100 {
        client.get_order(get("any")).await.unwrap();
    }
    // Both are idle at each call, so chance decides.
    let calls = (one.seen.count(), other.seen.count());
    assert!(calls.0 >= 20 && calls.1 >= 20, "{calls:?}");
}

#[tokio::test]
async fn busy_address_gets_no_more_calls_while_another_is_idle() {
    let _recording = Recording::start().await;
    let (one, other) = (TestServer::start().await, TestServer::start().await);
    let client = stack(&format!("http://{},http://{}", one.address, other.address));
    let hang =
        |mut client: OrderServiceClient<ClientStack>| tokio::spawn(async move { client.get_order(get("hang")).await });
    let mut hanging = Vec::new();
    for calls in 1..=8 {
        hanging.push(hang(client.clone()));
        eventually("the call has arrived", || one.seen.count() + other.seen.count() == calls).await;
    }
    assert_eq!((one.seen.count(), other.seen.count()), (4, 4));
}

#[tokio::test]
async fn name_is_looked_up_and_its_addresses_are_used() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    // Behind this name is 127.0.0.1, where the server is, and perhaps ::1, where it is not.
    let mut client = stack(&format!("http://localhost:{}", server.address.port()));
    let begin = Instant::now();
    while server.seen.deadlines().len() < 20 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", server.seen.deadlines());
        if client.get_order(get("any")).await.is_err() {
            tokio::task::yield_now().await;
        }
    }
}
