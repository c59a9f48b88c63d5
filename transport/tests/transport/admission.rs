//! Which calls are taken: who may call, how often, and what telemetry sees of a refused call.

use std::time::{Duration, Instant};

use crate::support::{Recording, TestServer, eventually};
use opentelemetry::trace::Status as SpanStatus;
use proto::orders::v1::{CancelOrderRequest, GetOrderRequest, WatchOrderRequest};
use tokio::task::JoinSet;
use tonic::{Code, Request, Status};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_client::HealthClient;
use tonic_types::StatusExt as _;
use transport::error::reason_of;
use transport::server::{Authentication, NotAuthenticated, Principal};

const GET: &str = "orders.v1.OrderService/GetOrder";
const USER: &str = "x-test-user";

/// Knows every user that is named, except for `intruder`, and panics for `crash`.
fn by_name() -> Authentication {
    Authentication::by(|headers| match headers.get(USER).and_then(|name| name.to_str().ok()) {
        None | Some("intruder") => Err(NotAuthenticated),
        Some("crash") => panic!("secret of the check"),
        Some(name) => Ok(Some(Principal::new(name))),
    })
}

fn get_as(user: &'static str, order_id: &str) -> Request<GetOrderRequest> {
    let mut request = Request::new(GetOrderRequest { order_id: order_id.to_owned() });
    request.metadata_mut().insert(USER, user.parse().unwrap());
    request
}

fn told(status: &Status) -> (Code, Option<String>) {
    (status.code(), reason_of(status))
}

fn retry_delay(status: &Status) -> Duration {
    status.get_details_retry_info().unwrap().retry_delay.unwrap()
}

async fn health_answers(server: &TestServer) {
    HealthClient::new(server.channel()).check(HealthCheckRequest::default()).await.unwrap();
}

#[tokio::test]
async fn handler_sees_who_calls_and_nobody_by_default() {
    let _recording = Recording::start().await;
    let server = TestServer::start_with(by_name(), |_| {}).await;
    let order = |answer: proto::orders::v1::GetOrderResponse| answer.order.unwrap().order_id;
    let answer = server.orders().get_order(get_as("alice", "who")).await.unwrap();
    assert_eq!(order(answer.into_inner()), "alice");
    let answer = TestServer::start().await.orders().get_order(get_as("alice", "who")).await.unwrap();
    assert_eq!(order(answer.into_inner()), "nobody");
}

#[tokio::test]
async fn refused_call_reaches_metrics_and_trace_and_not_the_handler() {
    let recording = Recording::start().await;
    let server = TestServer::start_with(by_name(), |_| {}).await;
    let counted = recording.server_calls(GET, "UNAUTHENTICATED");
    let refused = recording.refused("unauthenticated");
    let status = server.orders().get_order(get_as("intruder", "any")).await.unwrap_err();
    assert_eq!(told(&status), (Code::Unauthenticated, Some("UNAUTHENTICATED".to_owned())));
    eventually("it is counted", || (counted.grown(), refused.grown()) == (1.0, 1.0)).await;
    let span = recording.spans().into_iter().find(|span| span.name == GET).unwrap();
    assert_eq!(span.status, SpanStatus::Unset);
    assert!(server.seen.deadlines().is_empty());
    health_answers(&server).await;
}

#[tokio::test]
async fn check_that_panics_is_internal() {
    let recording = Recording::start().await;
    let server = TestServer::start_with(by_name(), |_| {}).await;
    let internal = recording.server_calls(GET, "INTERNAL");
    let status = server.orders().get_order(get_as("crash", "any")).await.unwrap_err();
    assert_eq!(told(&status), (Code::Internal, Some("INTERNAL".to_owned())));
    assert!(!status.message().contains("secret"), "{status:?}");
    eventually("it is counted", || internal.grown() == 1.0).await;
}

#[tokio::test]
async fn each_caller_is_kept_to_its_rate_and_told_when_to_come_back() {
    let recording = Recording::start().await;
    let server = TestServer::start_with(by_name(), |settings| settings.calls_per_second_per_caller = 2).await;
    let refused = recording.refused("rate_limited");
    let mut client = server.orders();
    // Who is not authenticated uses up nobody's rate.
    for _ in 0..10 {
        client.get_order(get_as("intruder", "any")).await.unwrap_err();
    }
    client.get_order(get_as("alice", "any")).await.unwrap();
    client.get_order(get_as("alice", "any")).await.unwrap();
    let status = client.get_order(get_as("alice", "any")).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, Some("RATE_LIMITED".to_owned())));
    let delay = retry_delay(&status);
    assert!(!delay.is_zero() && delay <= Duration::from_millis(500), "{delay:?}");
    client.get_order(get_as("bob", "any")).await.unwrap();
    for _ in 0..10 {
        health_answers(&server).await;
    }
    assert_eq!(refused.grown(), 1.0);
    tokio::time::sleep(delay).await;
    client.get_order(get_as("alice", "any")).await.unwrap();
}

#[tokio::test]
async fn full_server_refuses_at_once_except_for_what_ends_work_and_what_watches_it() {
    let recording = Recording::start().await;
    let server = TestServer::start_with(Authentication::default(), |settings| {
        (settings.min_concurrent_calls, settings.max_concurrent_calls) = (10, 10);
    })
    .await;
    let (counted, refused) = (recording.server_calls(GET, "RESOURCE_EXHAUSTED"), recording.refused("overloaded"));
    let active = recording.active(GET);
    let client = server.orders();
    let mut hanging = JoinSet::new();
    for _ in 0..9 {
        let mut client = client.clone();
        hanging.spawn(async move { client.get_order(get_as("any", "hang")).await });
    }
    eventually("nine calls are inside", || active.grown() == 9.0).await;
    let begin = Instant::now();
    let status = client.clone().get_order(get_as("any", "any")).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, Some("OVERLOADED".to_owned())));
    assert!(retry_delay(&status) >= Duration::from_millis(50), "{status:?}");
    println!("refused after {:?}", begin.elapsed());
    eventually("it is counted", || (counted.grown(), refused.grown()) == (1.0, 1.0)).await;
    assert_eq!(server.seen.deadlines().len(), 9);

    // The stub has no such method: what matters is that it was asked.
    let status = client.clone().cancel_order(CancelOrderRequest::default()).await.unwrap_err();
    assert_eq!(told(&status), (Code::Unimplemented, Some("UNIMPLEMENTED".to_owned())));
    health_answers(&server).await;

    hanging.shutdown().await;
    eventually("the callers have gone", || active.grown() == 0.0).await;
    client.clone().get_order(get_as("any", "any")).await.unwrap();
}

#[tokio::test]
async fn streams_are_bounded_and_give_their_place_back() {
    let recording = Recording::start().await;
    let server = TestServer::start_with(Authentication::default(), |settings| {
        settings.max_open_streams_per_caller = 1;
    })
    .await;
    let refused = recording.refused("too_many_streams");
    let watch = || WatchOrderRequest { order_id: "hang".to_owned(), ..WatchOrderRequest::default() };
    let mut client = server.orders();
    let mut first = client.watch_order(watch()).await.unwrap().into_inner();
    first.message().await.unwrap().unwrap();
    let status = client.watch_order(watch()).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, Some("OVERLOADED".to_owned())));
    assert!(!retry_delay(&status).is_zero());
    assert_eq!(refused.grown(), 1.0);
    // Unary calls have places of their own.
    client.get_order(get_as("any", "any")).await.unwrap();
    drop(first);
    let mut tries = 0;
    while client.watch_order(watch()).await.is_err() {
        tries += 1;
        assert!(tries < 1_000);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}
