//! The client's stack when its peers fail: retries, the breaker, ejection.

use std::time::{Duration, Instant};

use opentelemetry::trace::SpanKind;
use opentelemetry_sdk::trace::SpanData;
use proto::orders::v1::GetOrderRequest;
use proto::orders::v1::order_service_client::OrderServiceClient;
use runtime::health::Health;
use runtime::tasks::{Supervisor, TaskGroup};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Code, Request, Status};
use transport::client::{ClientStack, probe};

use crate::support::{Recording, TestServer, connected, eventually};

const GET: &str = "orders.v1.OrderService/GetOrder";
/// As `rpc_client_circuit_breaker_state` says it.
const CLOSED: f64 = 0.0;
const OPEN: f64 = 1.0;

type Client = OrderServiceClient<ClientStack>;

fn target(servers: &[&TestServer]) -> String {
    servers.iter().map(|server| format!("http://{}", server.address)).collect::<Vec<_>>().join(",")
}

fn retrying(target: &str) -> Client {
    OrderServiceClient::new(connected(target, &[GET]))
}

async fn get(client: &Client, order_id: &str) -> Result<(), Status> {
    client.clone().get_order(GetOrderRequest { order_id: order_id.to_owned() }).await.map(|_| ())
}

/// Calls until the breaker refuses; gives the number of calls before.
async fn open_breaker(client: &Client) -> usize {
    for calls in 0..100 {
        let status = get(client, "away").await.unwrap_err();
        if status.message().starts_with("circuit breaker open") {
            return calls;
        }
    }
    panic!("a hundred failures have not opened the breaker");
}

/// An address where nobody listens.
async fn nobody() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    listener.local_addr().unwrap().to_string()
}

#[tokio::test]
async fn call_that_may_be_repeated_is_repeated_and_counted_once() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let address = server.address.to_string();
    let ok = recording.client_calls(GET, "OK", &address);
    get(&retrying(&target(&[&server])), "away-once").await.unwrap();
    assert_eq!(server.seen.count(), 2);
    assert_eq!(ok.grown(), 1.0);
    eventually("all spans have ended", || recording.spans().len() >= 3).await;
    let spans = recording.spans();
    let is_client = |span: &&SpanData| span.name == GET && span.span_kind == SpanKind::Client;
    let client_spans: Vec<_> = spans.iter().filter(is_client).collect();
    assert_eq!(client_spans.len(), 1, "one call is one span");
    let events: Vec<_> = client_spans[0].events.iter().map(|event| event.name.as_ref()).collect();
    assert_eq!(events, ["retry"]);
}

#[tokio::test]
async fn call_that_may_not_be_repeated_is_sent_once() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client: Client = OrderServiceClient::new(connected(&target(&[&server]), &[]));
    assert_eq!(get(&client, "away").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.seen.count(), 1);

    let of_another = connected(&target(&[&server]), &["orders.v1.OrderService/CancelOrder"]);
    assert_eq!(get(&OrderServiceClient::new(of_another), "away").await.unwrap_err().code(), Code::Unavailable);
    assert_eq!(server.seen.count(), 2);
}

#[tokio::test]
async fn peer_says_when_to_come_back_and_whether() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client = retrying(&target(&[&server]));
    let begin = Instant::now();
    get(&client, "come-back").await.unwrap();
    assert!(begin.elapsed() >= Duration::from_millis(200), "{:?}", begin.elapsed());
    assert_eq!(server.seen.count(), 2);
    get(&client, "never").await.unwrap_err();
    assert_eq!(server.seen.count(), 3);
}

#[tokio::test]
async fn retries_share_the_call_s_deadline_and_are_not_begun_without_time() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client = retrying(&target(&[&server]));
    let with_time = |order_id: &str, time| {
        let mut request = Request::new(GetOrderRequest { order_id: order_id.to_owned() });
        request.set_timeout(time);
        request
    };
    // The peer asks for 200 ms, which the caller does not have: it learns that at once.
    let begin = Instant::now();
    let status = client.clone().get_order(with_time("come-back", Duration::from_millis(150))).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted);
    assert!(begin.elapsed() < Duration::from_millis(150), "{:?}", begin.elapsed());
    assert_eq!(server.seen.count(), 1);

    let status = client.clone().get_order(with_time("away", Duration::from_secs(2))).await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    let left = server.seen.deadlines();
    assert_eq!(left.len(), 4);
    assert!(left[1] > left[2] && left[2] > left[3], "each attempt is told what is left: {left:?}");
}

#[tokio::test]
async fn budget_stops_a_storm_of_retries() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client = retrying(&target(&[&server]));
    let calls = (0..400).map(|_| get(&client, "overloaded"));
    let answers = futures::future::join_all(calls).await;
    assert!(answers.iter().all(|answer| answer.as_ref().is_err_and(|status| status.code() == Code::ResourceExhausted)));
    // Refusals of a peer that sheds load say that it is there: the breaker leaves them to the budget.
    let retries = server.seen.count() - 400;
    assert!((20..=60).contains(&retries), "{retries} retries of 400 calls");
}

#[tokio::test]
async fn failing_target_opens_the_breaker_and_then_nothing_is_sent() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let state = recording.breaker(&server.address.to_string());
    let client: Client = OrderServiceClient::new(connected(&target(&[&server]), &[]));
    assert_eq!(open_breaker(&client).await, 20);
    assert_eq!(state.grown(), OPEN);
    let begin = Instant::now();
    let status = get(&client, "any").await.unwrap_err();
    assert_eq!(status.code(), Code::Unavailable);
    assert!(begin.elapsed() < Duration::from_millis(50), "{:?}", begin.elapsed());
    assert_eq!(server.seen.count(), 20);
}

#[tokio::test]
async fn retries_end_with_the_breaker() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client = retrying(&target(&[&server]));
    open_breaker(&client).await;
    assert_eq!(server.seen.count(), 20, "every attempt counts, and the breaker's refusal is not repeated");
}

#[tokio::test]
async fn health_that_says_serving_closes_the_breaker_early() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    server.database.up();
    let state = recording.breaker(&server.address.to_string());
    let stack = connected(&target(&[&server]), &[]);
    let client: Client = OrderServiceClient::new(stack.clone());
    open_breaker(&client).await;
    assert_eq!(state.grown(), OPEN);

    let begin = Instant::now();
    let tasks = TaskGroup::new("probes", &Supervisor::new());
    probe::watch(&stack, "peer", &Health::new(), &tasks);
    while get(&client, "any").await.is_err() {
        assert!(begin.elapsed() < Duration::from_secs(10), "the breaker stays open");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(state.grown(), CLOSED);
}

#[tokio::test]
async fn slow_target_opens_the_breaker_if_it_had_time_and_impatient_callers_do_not() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let state = recording.breaker(&server.address.to_string());
    let client: Client = OrderServiceClient::new(connected(&target(&[&server]), &[]));
    let hanging = |time| {
        let mut client = client.clone();
        let mut request = Request::new(GetOrderRequest { order_id: "hang".to_owned() });
        request.set_timeout(time);
        async move { client.get_order(request).await.unwrap_err().code() }
    };
    let impatient = (0..30).map(|_| hanging(Duration::from_millis(20)));
    assert!(futures::future::join_all(impatient).await.iter().all(|code| *code == Code::DeadlineExceeded));
    assert_eq!(state.grown(), CLOSED);
    let patient = (0..30).map(|_| hanging(Duration::from_secs(1)));
    assert!(futures::future::join_all(patient).await.iter().all(|code| *code == Code::DeadlineExceeded));
    assert_eq!(state.grown(), OPEN);
}

#[tokio::test]
async fn one_bad_address_of_two_is_ejected_while_calls_go_on() {
    let recording = Recording::start().await;
    let good = TestServer::start().await;
    let both = format!("{},{}", good.address, nobody().await);
    let (state, ejected) = (recording.breaker(&both), recording.ejected(&both));
    let client = retrying(&format!("http://{}", both.replace(',', ",http://")));
    for _ in 0..20 {
        let calls = (0..10).map(|_| get(&client, "any"));
        let answers = futures::future::join_all(calls).await;
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");
    }
    assert_eq!(good.seen.count(), 200);
    assert_eq!((ejected.grown(), state.grown()), (1.0, CLOSED));
}

#[tokio::test]
async fn calls_go_on_while_one_of_two_servers_drains() {
    let _recording = Recording::start().await;
    let (mut leaving, staying) = (TestServer::start().await, TestServer::start().await);
    let client = retrying(&target(&[&leaving, &staying]));
    let stop = CancellationToken::new();
    let callers = (0..8).map(|_| {
        let client = client.clone();
        let stop = stop.clone();
        tokio::spawn(async move {
            while !stop.is_cancelled() {
                get(&client, "any").await?;
            }
            Ok::<(), Status>(())
        })
    });
    let callers: Vec<_> = callers.collect();
    eventually("both are called", || leaving.seen.count() > 50 && staying.seen.count() > 50).await;
    leaving.begin_stop();
    leaving.stopped().await;
    let before = staying.seen.count();
    eventually("calls go on", || staying.seen.count() > before + 50).await;
    stop.cancel();
    for caller in callers {
        caller.await.unwrap().unwrap();
    }
}
