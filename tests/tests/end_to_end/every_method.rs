//! Every method of both services against what can go wrong with any of them: code, reason, domain, and whether to try again.
//! A method that is added to the contract is in here by itself, once it has an example.

use std::collections::BTreeMap;
use std::time::Duration;

use prost::Message as _;
use proto::google::r#type::Money;
use proto::inventory::v1 as inventory;
use proto::inventory::v1::inventory_service_server::SERVICE_NAME as INVENTORY;
use proto::orders::v1 as orders;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::order_service_server::SERVICE_NAME as ORDERS;
use proto::reasons;
use rand::RngExt as _;
use rand::seq::IndexedRandom as _;
use tests::audit;
use tests::chance;
use tests::refusal::Refusal;
use tests::service::{Part, Service};
use tests::waiting::{eventually, seconds};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::raw::{Connection, methods};
use crate::support::{calm, faults};

/// Calls of each method.
const FUZZED: usize = 50;
const IMPATIENT: u32 = 40;

/// A message of each method that is well-formed and changes nothing that anybody needs.
fn example(path: &str) -> Vec<u8> {
    let order_id = Uuid::now_v7().to_string();
    let lines = vec![orders::NewOrderLine { sku: "no-such-sku".to_owned(), quantity: 1 }];
    let request_id = Uuid::new_v4().to_string();
    let order = orders::PlaceOrderRequest { request_id, customer_id: "every-method".to_owned(), lines };
    let row = inventory::ImportStockRequest {
        import_id: order_id.clone(),
        row: 1,
        sku: format!("every-method-{order_id}"),
        name: "an example".to_owned(),
        unit_price: Some(Money { currency_code: "EUR".to_owned(), units: 1, nanos: 0 }),
        quantity: 1,
    };
    let status = inventory::ReservationStatus::Released.into();
    let line = inventory::ReserveLine { sku: "no-such-sku".to_owned(), quantity: 1 };
    match path.rsplit_once('/').unwrap().1 {
        "PlaceOrder" => order.encode_to_vec(),
        "PlaceOrders" => orders::PlaceOrdersRequest { sequence: 1, place_order: Some(order) }.encode_to_vec(),
        "GetOrder" => orders::GetOrderRequest { order_id }.encode_to_vec(),
        "ListOrders" => orders::ListOrdersRequest::default().encode_to_vec(),
        "CancelOrder" => orders::CancelOrderRequest { order_id, note: String::new() }.encode_to_vec(),
        "FulfillOrder" => orders::FulfillOrderRequest { order_id }.encode_to_vec(),
        "WatchOrder" => orders::WatchOrderRequest { order_id, after_version: 0 }.encode_to_vec(),
        "Reserve" => inventory::ReserveRequest { order_id, lines: vec![line] }.encode_to_vec(),
        "CloseReservation" => inventory::CloseReservationRequest { order_id, status }.encode_to_vec(),
        "GetReservation" => inventory::GetReservationRequest { order_id }.encode_to_vec(),
        "GetStock" => inventory::GetStockRequest { sku: "no-such-sku".to_owned() }.encode_to_vec(),
        "ListStock" => inventory::ListStockRequest::default().encode_to_vec(),
        "ImportStock" => row.encode_to_vec(),
        other => panic!("{other} needs an example"),
    }
}

/// The status that a call ends with, or that of the one order of a stream.
async fn refusal(connection: &Connection, path: &str, message: Vec<u8>) -> Refusal {
    refused(connection, path, Request::new(message)).await.unwrap_or_else(|| panic!("{path} was not refused"))
}

async fn refused(connection: &Connection, path: &str, message: Request<Vec<u8>>) -> Option<Refusal> {
    use orders::place_orders_response::Outcome;
    match connection.call(path, message).await {
        Err(status) => Some(Refusal::of(&status)),
        Ok(answers) if path.ends_with("/PlaceOrders") => {
            let answer = orders::PlaceOrdersResponse::decode(answers.first()?.clone()).unwrap();
            let Some(Outcome::Error(error)) = answer.outcome else { return None };
            let details = error.encode_to_vec().into();
            Some(Refusal::of(&Status::with_details(error.code.into(), error.message, details)))
        }
        Ok(_) => None,
    }
}

/// Both services, with their names and their domains.
fn both<'a>(orders: &'a Service, inventory: &'a Service) -> [(&'a Service, &'static str, &'static str); 2] {
    [(orders, ORDERS, reasons::ORDERS_DOMAIN), (inventory, INVENTORY, reasons::INVENTORY_DOMAIN)]
}

#[tokio::test]
async fn what_is_no_message_or_too_large_is_said_so_by_every_method() {
    let platform = calm().await;
    for (service, name, domain) in both(&platform.orders, &platform.inventory) {
        let connection = Connection::to(service).await;
        for path in methods(name) {
            // A field that goes on behind the end; then one of two mebibytes that nobody knows.
            for (message, code, reason) in [
                (vec![0x0a, 0x7f, b'x'], Code::InvalidArgument, reasons::MALFORMED_MESSAGE),
                (vec![b'x'; 2 * 1_024 * 1_024], Code::ResourceExhausted, reasons::MESSAGE_TOO_LARGE),
            ] {
                let refusal = refusal(&connection, &path, message).await;
                assert_eq!((refusal.code, &*refusal.reason, &*refusal.domain), (code, reason, domain), "{path}");
                assert!(!refusal.retry, "{path}: repeating does not help");
            }
        }
    }
}

#[tokio::test]
async fn database_that_is_away_is_said_so_by_every_method() {
    let mut platform = faults().await;
    platform.stack.postgres.kill().await.unwrap();
    for (service, name, domain) in both(&platform.orders, &platform.inventory) {
        let connection = Connection::to(service).await;
        for path in methods(name) {
            let refusal = refusal(&connection, &path, example(&path)).await;
            let told = (refusal.code, &*refusal.reason, &*refusal.domain);
            assert_eq!(told, (Code::Unavailable, reasons::DEPENDENCY_UNAVAILABLE, domain), "{path}");
            assert_eq!(refusal.metadata["dependency"], "database", "{path}");
            assert!(refusal.retry, "{path} says when");
        }
    }
    platform.stack.postgres.restart().await.unwrap();
    platform.heal().await;
}

#[tokio::test]
async fn caller_over_its_rate_is_told_so_by_every_method() {
    let mut platform = faults().await;
    for part in [Part::Orders, Part::Inventory] {
        let service = platform.service(part);
        service.set("GRPC_CALLS_PER_SECOND_PER_CALLER", "1");
        service.restart().await;
    }
    for (service, name, domain) in both(&platform.orders, &platform.inventory) {
        let connection = Connection::to(service).await;
        for path in methods(name) {
            // order-svc calls inventory from this address, too, and may have used what there was.
            let told = eventually(seconds(10), async || {
                let told = refused(&connection, &path, Request::new(example(&path))).await;
                told.filter(|refusal| refusal.reason == reasons::RATE_LIMITED)
                    .ok_or_else(|| anyhow::anyhow!("{path} is not limited"))
            })
            .await;
            assert_eq!((told.code, &*told.domain), (Code::ResourceExhausted, domain), "{path}");
            assert!(told.retry, "{path} says when");
        }
    }
}

#[tokio::test]
async fn deadline_of_a_millisecond_is_counted_and_leaves_nothing_half_done() {
    let platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("hurry", 1_000, (1, 0)).await;
    let code = "DEADLINE_EXCEEDED";
    let labels = [("rpc_method", "orders.v1.OrderService/PlaceOrder"), ("rpc_response_status_code", code)];
    let name = "rpc_server_call_duration_seconds_count";
    let before = platform.orders.metrics().await.sum(name, &labels);
    let connection = Connection::to(&platform.orders).await;
    let origin = connection.origin();
    let mut client = OrderServiceClient::with_origin(connection, origin);
    let mut late = 0.0;
    let mut requests = Vec::new();
    for _ in 0..IMPATIENT {
        let order = orders::PlaceOrderRequest { request_id: Uuid::new_v4().to_string(), ..shop.request(&[(&sku, 1)]) };
        let mut request = Request::new(order.clone());
        request.set_timeout(Duration::from_millis(1));
        // A millisecond may do.
        if let Err(status) = client.place_order(request).await {
            let refusal = Refusal::of(&status);
            assert_eq!((refusal.code, &*refusal.reason), (Code::DeadlineExceeded, reasons::DEADLINE_EXCEEDED));
            late += 1.0;
        }
        requests.push(order);
    }
    assert!(late > 0.0, "no call was late");
    let after = platform.orders.metrics().await.sum(name, &labels);
    assert_eq!(after - before, late, "each late call counts as what it was, once");
    // Whether or not it was durable before its caller gave up: the same request gives the one order.
    for order in requests {
        let first = shop.try_place(order.clone()).await.unwrap();
        assert_eq!(shop.try_place(order).await.unwrap().order_id, first.order_id);
    }
    audit::whole(&platform, seconds(30)).await;
    assert_eq!(shop.item(&sku).await.reserved, i64::from(IMPATIENT));
}

#[tokio::test]
async fn no_bytes_are_the_service_s_fault() {
    let platform = calm().await;
    let mut chance = chance::seeded();
    let mut codes: BTreeMap<String, usize> = BTreeMap::new();
    for (service, name, _) in both(&platform.orders, &platform.inventory) {
        let connection = Connection::to(service).await;
        for path in methods(name) {
            for _ in 0..FUZZED {
                let mut message = if chance.random_bool(0.3) { Vec::new() } else { example(&path) };
                for _ in 0..chance.random_range(1..6) {
                    let place = chance.random_range(0..=message.len());
                    match chance.random_range(0..4) {
                        0 => message.truncate(place),
                        1 => message.insert(place, chance.random()),
                        2 if place < message.len() => message[place] ^= 1 << chance.random_range(0..8),
                        _ => {
                            let tail: Vec<u8> = (0..chance.random_range(0..40)).map(|_| chance.random()).collect();
                            message.splice(place.., tail);
                        }
                    }
                }
                let mut request = Request::new(message.clone());
                let timeouts = ["1S", "2S", "", "x", "99999999H", "-1m"];
                request.metadata_mut().insert("grpc-timeout", timeouts.choose(&mut chance).unwrap().parse().unwrap());
                let traces = ["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00", "00-00-00-00", "x"];
                request.metadata_mut().insert("traceparent", traces.choose(&mut chance).unwrap().parse().unwrap());
                let refusal = refused(&connection, &path, request).await;
                let code = refusal.map_or(Code::Ok, |refusal| {
                    assert!(!refusal.reason.is_empty(), "{path} {message:02x?}: {refusal:?}");
                    refusal.code
                });
                assert!(!matches!(code, Code::Internal | Code::Unknown), "{path} {message:02x?}: {code:?}");
                *codes.entry(format!("{code:?}")).or_default() += 1;
            }
        }
    }
    eprintln!("{codes:?}");
    assert!(codes.len() > 2, "all was refused in one way: {codes:?}");
}
