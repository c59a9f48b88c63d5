//! The server's stack, seen from outside: what callers are told and what telemetry records.

use std::time::{Duration, Instant};

use crate::support::{Recording, TestServer, eventually};
use opentelemetry::trace::Status as SpanStatus;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{GetOrderRequest, GetOrderResponse, WatchOrderRequest, WatchOrderResponse};
use tokio_stream::StreamExt as _;
use tonic::client::Grpc;
use tonic::{Code, Request, Status, Streaming};
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, HealthCheckResponse};
use tonic_prost::ProstCodec;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use transport::error::reason_of;
use transport::server::Authentication;

const GET: &str = "orders.v1.OrderService/GetOrder";
const WATCH: &str = "orders.v1.OrderService/WatchOrder";

fn get(order_id: &str) -> GetOrderRequest {
    GetOrderRequest { order_id: order_id.to_owned() }
}

fn watch(order_id: &str) -> WatchOrderRequest {
    WatchOrderRequest { order_id: order_id.to_owned(), ..WatchOrderRequest::default() }
}

fn told(status: &Status) -> (Code, Option<String>) {
    (status.code(), reason_of(status))
}

#[tokio::test]
async fn answered_calls_are_counted_by_their_code() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let (ok, not_found) = (recording.server_calls(GET, "OK"), recording.server_calls(GET, "NOT_FOUND"));
    let active = recording.active(GET);
    server.orders().get_order(get("any")).await.unwrap();
    server.orders().get_order(get("any")).await.unwrap();
    let status = server.orders().get_order(get("missing")).await.unwrap_err();
    assert_eq!(told(&status), (Code::NotFound, Some("ORDER_NOT_FOUND".to_owned())));
    eventually("both codes are counted", || (ok.grown(), not_found.grown()) == (2.0, 1.0)).await;
    assert_eq!(active.grown(), 0.0);
}

#[tokio::test]
async fn stream_counts_as_what_its_trailers_say() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let (ok, unavailable) = (recording.server_calls(WATCH, "OK"), recording.server_calls(WATCH, "UNAVAILABLE"));
    let mut stream = server.orders().watch_order(watch("any")).await.unwrap().into_inner();
    while stream.message().await.unwrap().is_some() {}
    let mut stream = server.orders().watch_order(watch("fail")).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    assert_eq!(told(&stream.message().await.unwrap_err()), (Code::Unavailable, Some("DRAINING".to_owned())));
    eventually("both ends are counted", || (ok.grown(), unavailable.grown()) == (1.0, 1.0)).await;
}

#[tokio::test]
async fn call_that_its_caller_drops_counts_as_cancelled() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let (cancelled, active) = (recording.server_calls(GET, "CANCELLED"), recording.active(GET));
    let mut client = server.orders();
    let call = tokio::spawn(async move { client.get_order(get("hang")).await });
    eventually("the call is being answered", || active.grown() == 1.0).await;
    call.abort();
    eventually("it is cancelled", || (cancelled.grown(), active.grown()) == (1.0, 0.0)).await;
    let spans = recording.spans();
    assert!(spans.iter().any(|span| span.name == GET && span.status == SpanStatus::Unset), "{spans:?}");
}

#[tokio::test]
async fn stream_that_its_caller_drops_counts_as_cancelled() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let cancelled = recording.server_calls(WATCH, "CANCELLED");
    let mut stream = server.orders().watch_order(watch("hang")).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    drop(stream);
    eventually("it is cancelled", || cancelled.grown() == 1.0).await;
}

#[tokio::test]
async fn panic_is_internal_to_the_caller_to_metrics_and_to_the_span() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let internal = recording.server_calls(GET, "INTERNAL");
    let status = server.orders().get_order(get("panic")).await.unwrap_err();
    assert_eq!(told(&status), (Code::Internal, Some("INTERNAL".to_owned())));
    assert!(!status.message().contains("secret"), "{status:?}");
    eventually("the panic is counted", || internal.grown() == 1.0).await;
    let span = recording.spans().into_iter().find(|span| span.name == GET).unwrap();
    assert_eq!(span.status, SpanStatus::error("INTERNAL"));
    server.orders().get_order(get("any")).await.unwrap();
}

#[tokio::test]
async fn panic_of_a_stream_ends_it_as_internal() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let internal = recording.server_calls(WATCH, "INTERNAL");
    let mut stream = server.orders().watch_order(watch("panic")).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    assert_eq!(told(&stream.message().await.unwrap_err()), (Code::Internal, Some("INTERNAL".to_owned())));
    eventually("the panic is counted", || internal.grown() == 1.0).await;
}

#[tokio::test]
async fn passed_deadline_is_deadline_exceeded_to_the_caller_and_to_metrics() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let exceeded = recording.server_calls(GET, "DEADLINE_EXCEEDED");
    let mut request = Request::new(get("hang"));
    request.metadata_mut().insert("grpc-timeout", "50m".parse().unwrap());
    let status = server.bare_orders().await.get_order(request).await.unwrap_err();
    assert_eq!(told(&status), (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED".to_owned())));
    eventually("it is counted", || exceeded.grown() == 1.0).await;
}

#[tokio::test]
async fn deadline_of_a_millisecond_is_deadline_exceeded_each_time() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let (unary, stream) =
        (recording.server_calls(GET, "DEADLINE_EXCEEDED"), recording.server_calls(WATCH, "DEADLINE_EXCEEDED"));
    let mut client = server.bare_orders().await;
    for _ in 0..50 {
        let mut request = Request::new(get("hang"));
        request.metadata_mut().insert("grpc-timeout", "1m".parse().unwrap());
        assert_eq!(client.get_order(request).await.unwrap_err().code(), Code::DeadlineExceeded);
        let mut request = Request::new(watch("hang"));
        request.metadata_mut().insert("grpc-timeout", "1m".parse().unwrap());
        let code = match client.watch_order(request).await {
            Ok(answer) => end_of(answer.into_inner()).await,
            Err(status) => status.code(),
        };
        assert_eq!(code, Code::DeadlineExceeded);
    }
    eventually("all are counted", || (unary.grown(), stream.grown()) == (50.0, 50.0)).await;
}

#[tokio::test]
async fn stream_ends_at_its_deadline_if_it_has_one() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let exceeded = recording.server_calls(WATCH, "DEADLINE_EXCEEDED");
    let mut request = Request::new(watch("hang"));
    request.metadata_mut().insert("grpc-timeout", "100m".parse().unwrap());
    let mut stream = server.bare_orders().await.watch_order(request).await.unwrap().into_inner();
    stream.message().await.unwrap().unwrap();
    let status = stream.message().await.unwrap_err();
    assert_eq!(told(&status), (Code::DeadlineExceeded, Some("DEADLINE_EXCEEDED".to_owned())));
    eventually("it is counted", || exceeded.grown() == 1.0).await;
}

#[tokio::test]
async fn handler_sees_the_caller_s_deadline_or_the_default() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let mut request = Request::new(get("any"));
    request.set_timeout(Duration::from_secs(60));
    server.orders().get_order(request).await.unwrap();
    server.orders().get_order(get("any")).await.unwrap();
    let deadlines = server.seen.deadlines();
    assert!((Duration::from_secs(55)..=Duration::from_secs(60)).contains(&deadlines[0]), "{deadlines:?}");
    assert!((Duration::from_secs(4)..=Duration::from_secs(5)).contains(&deadlines[1]), "{deadlines:?}");
}

#[tokio::test]
async fn unknown_method_is_refused_with_a_reason_and_counted_as_other() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let other = recording.server_calls("_OTHER", "UNIMPLEMENTED");
    for path in ["/orders.v1.OrderService/Nonsense", "/no.such.Service/Get"] {
        let status = raw(&server, path, get("any")).await.unwrap_err();
        assert_eq!(told(&status), (Code::Unimplemented, Some("UNIMPLEMENTED".to_owned())), "{path}");
    }
    eventually("both are counted", || other.grown() == 2.0).await;
}

#[tokio::test]
async fn message_over_the_limit_and_bytes_that_are_no_message_are_the_caller_s_fault() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let exhausted = recording.server_calls(GET, "RESOURCE_EXHAUSTED");
    let large = get(&"x".repeat(2 * crate::support::MAX_MESSAGE_BYTES));
    let status = server.orders().get_order(large).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE".to_owned())));
    eventually("it is counted", || exhausted.grown() == 1.0).await;
    // Field 1 of a duration is a number, that of the request is a text.
    let other_message = prost_types::Duration { seconds: 5, nanos: 0 };
    let status = raw(&server, &format!("/{GET}"), other_message).await.unwrap_err();
    assert_eq!(told(&status), (Code::InvalidArgument, Some("MALFORMED_MESSAGE".to_owned())));
}

#[tokio::test]
async fn answer_over_the_limit_is_refused_with_a_reason_in_its_trailers() {
    let recording = Recording::start().await;
    let server = TestServer::start().await;
    let exhausted = recording.server_calls(GET, "RESOURCE_EXHAUSTED");
    let status = server.orders().get_order(get("large")).await.unwrap_err();
    assert_eq!(told(&status), (Code::ResourceExhausted, Some("MESSAGE_TOO_LARGE".to_owned())));
    eventually("it is counted", || exhausted.grown() == 1.0).await;
}

#[tokio::test]
async fn old_connection_is_replaced_and_no_call_fails_that_is_tried_again() {
    let _recording = Recording::start().await;
    let server = TestServer::start_with(Authentication::default(), |settings| {
        settings.max_connection_age = Duration::from_millis(200);
    })
    .await;
    let mut client = server.orders();
    let begin = Instant::now();
    while server.seen.connections() < 4 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{} connections", server.seen.connections());
        if client.get_order(get("any")).await.is_err() {
            client.get_order(get("any")).await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn health_does_not_flap_with_a_dependency() {
    let server = TestServer::start().await;
    server.database.up();
    let mut client = HealthClient::new(server.channel());
    let mut watching = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    eventually_serving(&mut watching).await;
    for _ in 0..5 {
        server.database.down("flapping");
        tokio::task::yield_now().await;
        server.database.up();
    }
    server.database.down("gone");
    let begin = Instant::now();
    assert_eq!(watching.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    assert!(begin.elapsed() > Duration::from_millis(500), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn reflection_lists_what_is_served_in_both_versions() {
    use tonic_reflection::pb::{v1, v1alpha};
    let server = TestServer::start().await;

    let listing = v1::server_reflection_request::MessageRequest::ListServices(String::new());
    let request = v1::ServerReflectionRequest { host: String::new(), message_request: Some(listing) };
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(server.channel());
    let answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let v1::server_reflection_response::MessageResponse::ListServicesResponse(list) = answer else {
        panic!("{answer:?}")
    };
    let names: Vec<_> = list.service.iter().map(|service| service.name.as_str()).collect();
    assert!(names.contains(&"orders.v1.OrderService") && names.contains(&"grpc.health.v1.Health"), "{names:?}");

    let symbol = "orders.v1.OrderService".to_owned();
    let lookup = v1alpha::server_reflection_request::MessageRequest::FileContainingSymbol(symbol);
    let request = v1alpha::ServerReflectionRequest { host: String::new(), message_request: Some(lookup) };
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(server.channel());
    let answers = client.server_reflection_info(futures::stream::iter([request])).await.unwrap();
    let answer = answers.into_inner().message().await.unwrap().unwrap().message_response.unwrap();
    let v1alpha::server_reflection_response::MessageResponse::FileDescriptorResponse(_) = answer else {
        panic!("{answer:?}")
    };
}

#[tokio::test]
async fn health_follows_the_service_and_does_not_keep_it_from_stopping() {
    let mut server = TestServer::start().await;
    let mut client = HealthClient::new(server.channel());
    for service in ["", "orders.v1.OrderService"] {
        let request = HealthCheckRequest { service: service.to_owned() };
        let answer = client.check(request).await.unwrap().into_inner();
        assert_eq!(answer.status(), ServingStatus::NotServing, "{service:?}");
    }
    let mut watching = client.watch(HealthCheckRequest::default()).await.unwrap().into_inner();
    assert_eq!(watching.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    server.database.up();
    assert_eq!(watching.message().await.unwrap().unwrap().status(), ServingStatus::Serving);
    server.health.start_draining();
    assert_eq!(watching.message().await.unwrap().unwrap().status(), ServingStatus::NotServing);
    server.begin_stop();
    while let Ok(Some(_)) = watching.message().await {}
    server.stopped().await;
}

#[tokio::test]
async fn open_reflection_is_ended_and_does_not_keep_the_service_from_stopping() {
    let _recording = Recording::start().await;
    let mut server = TestServer::start().await;
    let mut client = ServerReflectionClient::new(server.channel());
    let list = MessageRequest::ListServices(String::new());
    let question = ServerReflectionRequest { host: String::new(), message_request: Some(list) };
    let questions = tokio_stream::iter([question]).chain(tokio_stream::pending());
    let mut answers = client.server_reflection_info(questions).await.unwrap().into_inner();
    answers.message().await.unwrap().unwrap();
    server.begin_stop();
    let ended = answers.message().await.unwrap_err();
    assert_eq!(told(&ended), (Code::Unavailable, Some("DRAINING".to_owned())));
    server.stopped().await;
}

#[tokio::test]
async fn no_unary_call_has_more_time_than_a_minute() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let mut request = Request::new(get("any"));
    request.metadata_mut().insert("grpc-timeout", "99999999H".parse().unwrap());
    server.bare_orders().await.get_order(request).await.unwrap();
    let given = server.seen.deadlines()[0];
    assert!(given <= Duration::from_mins(1) && given > Duration::from_secs(50), "{given:?}");
}

#[tokio::test]
async fn unix_socket_serves_as_an_address_does() {
    let _recording = Recording::start().await;
    let socket = std::env::temp_dir().join(format!("transport-{}.sock", std::process::id()));
    let address = format!("unix:{}", socket.display());
    let server = TestServer::start_with(Authentication::default(), |settings| {
        settings.listen = address.parse().unwrap();
    })
    .await;
    let channel = tonic::transport::Endpoint::from_shared(address).unwrap().connect().await.unwrap();
    let mut orders = OrderServiceClient::new(channel);
    orders.get_order(get("any")).await.unwrap();
    assert_eq!(told(&orders.get_order(get("missing")).await.unwrap_err()).0, Code::NotFound);
    drop(server);
    std::fs::remove_file(socket).unwrap();
}

#[tokio::test]
async fn stopping_waits_for_calls_in_flight() {
    let recording = Recording::start().await;
    let mut server = TestServer::start().await;
    let active = recording.active(GET);
    let mut client = server.bare_orders().await;
    let call = tokio::spawn(async move {
        let mut request = Request::new(get("hang"));
        request.metadata_mut().insert("grpc-timeout", "300m".parse().unwrap());
        client.get_order(request).await
    });
    eventually("the call is being answered", || active.grown() == 1.0).await;
    server.begin_stop();
    assert!(!server.has_stopped());
    assert_eq!(call.await.unwrap().unwrap_err().code(), Code::DeadlineExceeded);
    server.stopped().await;
}

async fn end_of(mut stream: Streaming<WatchOrderResponse>) -> Code {
    loop {
        match stream.message().await {
            Ok(Some(_)) => {}
            Ok(None) => return Code::Ok,
            Err(status) => return status.code(),
        }
    }
}

async fn eventually_serving(watching: &mut Streaming<HealthCheckResponse>) {
    while watching.message().await.unwrap().unwrap().status() != ServingStatus::Serving {}
}

/// Calls a method by its path with whatever message.
async fn raw<M: prost::Message + Send + Sync + 'static>(
    server: &TestServer,
    path: &str,
    message: M,
) -> Result<GetOrderResponse, Status> {
    let mut grpc = Grpc::new(server.channel());
    grpc.ready().await.unwrap();
    let codec = ProstCodec::<M, GetOrderResponse>::default();
    let answer = grpc.unary(Request::new(message), path.parse().unwrap(), codec).await?;
    Ok(answer.into_inner())
}
