//! What errors say, method by method: code, reason, domain, and everything that is wrong.

use proto::inventory::v1 as inventory;
use proto::orders::v1 as orders;
use proto::{inventory::v1::ReservationStatus, reasons};
use tests::refusal::Refusal;
use tests::shop::Shop;
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Code, Request, Status};
use tonic_prost::ProstCodec;
use uuid::Uuid;

use crate::support::calm;

/// What a refusal has to say, beside its domain.
#[derive(Debug, Default)]
struct Expected {
    code: Option<Code>,
    reason: &'static str,
    fields: Vec<&'static str>,
    resource: Option<(&'static str, String)>,
}

fn invalid(fields: &[&'static str]) -> Expected {
    let mut fields = fields.to_vec();
    fields.sort_unstable();
    Expected { code: Some(Code::InvalidArgument), reason: reasons::INVALID_FIELD, fields, resource: None }
}

fn missing(reason: &'static str, resource_type: &'static str, name: &str) -> Expected {
    Expected { code: Some(Code::NotFound), reason, resource: Some((resource_type, name.to_owned())), fields: vec![] }
}

fn check(what: &str, status: &Status, domain: &str, expected: &Expected) {
    let refusal = Refusal::of(status);
    assert_eq!(Some(refusal.code), expected.code, "{what}: {status:?}");
    assert_eq!((&*refusal.reason, &*refusal.domain), (expected.reason, domain), "{what}");
    assert_eq!(refusal.fields, expected.fields, "{what}");
    let resource = expected.resource.as_ref().map(|(kind, name)| ((*kind).to_owned(), name.clone()));
    assert_eq!(refusal.resource, resource, "{what}");
    assert!(!status.message().is_empty() && !refusal.retry, "{what}: repeating does not help");
}

fn line(sku: &str, quantity: u32) -> orders::NewOrderLine {
    orders::NewOrderLine { sku: sku.to_owned(), quantity }
}

#[tokio::test]
async fn refused_placement_names_every_bad_field() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let good = shop.request(&[("sku", 1)]);
    let with = |change: &dyn Fn(&mut orders::PlaceOrderRequest)| {
        let mut request = good.clone();
        change(&mut request);
        request
    };
    let cases = [
        (with(&|request| request.customer_id.clear()), invalid(&["customer_id"])),
        (with(&|request| request.customer_id = "a b".into()), invalid(&["customer_id"])),
        (with(&|request| request.customer_id = "x".repeat(65)), invalid(&["customer_id"])),
        (with(&|request| request.request_id = "a\u{7}".into()), invalid(&["request_id"])),
        (with(&|request| request.request_id = "é".into()), invalid(&["request_id"])),
        (with(&|request| request.request_id = "x".repeat(65)), invalid(&["request_id"])),
        (with(&|request| request.lines.clear()), invalid(&["lines"])),
        (with(&|request| request.lines = (0..101).map(|n| line(&format!("s{n}"), 1)).collect()), invalid(&["lines"])),
        (with(&|request| request.lines = vec![line("", 1)]), invalid(&["lines[0].sku"])),
        (with(&|request| request.lines = vec![line("a/b", 1)]), invalid(&["lines[0].sku"])),
        (with(&|request| request.lines = vec![line("a", 0)]), invalid(&["lines[0].quantity"])),
        (with(&|request| request.lines = vec![line("a", 10_001)]), invalid(&["lines[0].quantity"])),
        (with(&|request| request.lines = vec![line("a", 1), line("a", 2)]), invalid(&["lines[1].sku"])),
        (
            orders::PlaceOrderRequest {
                request_id: "\n".into(),
                customer_id: String::new(),
                lines: vec![line("ok", 1), line("", 0), line("ok", 10_001)],
            },
            invalid(&[
                "request_id",
                "customer_id",
                "lines[1].sku",
                "lines[1].quantity",
                "lines[2].sku",
                "lines[2].quantity",
            ]),
        ),
    ];
    for (request, expected) in cases {
        let what = format!("{request:?}");
        check(&what, &shop.try_place(request).await.unwrap_err(), reasons::ORDERS_DOMAIN, &expected);
    }
}

/// Awaits a call that has to fail.
macro_rules! refused {
    ($client:expr, $method:ident, $request:expr, $domain:expr, $expected:expr) => {{
        let request = $request;
        let what = format!("{} {request:?}", stringify!($method));
        check(&what, &$client.$method(request).await.expect_err(&what), $domain, &$expected);
    }};
}

#[tokio::test]
async fn refused_calls_of_the_order_service_say_why() {
    let platform = calm().await;
    let Shop { mut orders, .. } = platform.shop();
    let domain = reasons::ORDERS_DOMAIN;
    let unknown = Uuid::now_v7().to_string();
    let upper = unknown.to_uppercase();
    let not_found = || missing(reasons::ORDER_NOT_FOUND, "orders.v1.Order", &unknown);
    for bad in ["", "42", &upper] {
        let order_id = bad.to_owned();
        refused!(
            orders,
            get_order,
            orders::GetOrderRequest { order_id: order_id.clone() },
            domain,
            invalid(&["order_id"])
        );
        refused!(orders, fulfill_order, orders::FulfillOrderRequest { order_id }, domain, invalid(&["order_id"]));
    }
    refused!(orders, get_order, orders::GetOrderRequest { order_id: unknown.clone() }, domain, not_found());
    refused!(orders, fulfill_order, orders::FulfillOrderRequest { order_id: unknown.clone() }, domain, not_found());
    let cancel =
        |order_id: &str, note: &str| orders::CancelOrderRequest { order_id: order_id.into(), note: note.into() };
    refused!(orders, cancel_order, cancel(&unknown, ""), domain, not_found());
    refused!(orders, cancel_order, cancel(&unknown, "\n"), domain, invalid(&["note"]));
    refused!(orders, cancel_order, cancel("x", &"n".repeat(257)), domain, invalid(&["order_id", "note"]));

    let list = orders::ListOrdersRequest::default();
    let bad_customer =
        orders::ListOrdersRequest { customer_id: "a b".into(), status: 99, page_size: -1, ..list.clone() };
    refused!(orders, list_orders, bad_customer, domain, invalid(&["customer_id", "page_size", "status"]));
    let token = orders::ListOrdersRequest { page_token: "made-up".into(), ..list };
    let bad_token = Expected { reason: reasons::INVALID_PAGE_TOKEN, ..invalid(&["page_token"]) };
    refused!(orders, list_orders, token, domain, bad_token);
    let watch = orders::WatchOrderRequest { order_id: unknown.clone(), after_version: 0 };
    refused!(orders, watch_order, watch, domain, not_found());
}

#[tokio::test]
async fn refused_calls_of_the_inventory_say_why() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("brick", 10, (1, 0)).await;
    let mut client = shop.inventory.clone();
    let domain = reasons::INVENTORY_DOMAIN;
    let unknown = Uuid::now_v7().to_string();

    refused!(client, get_stock, inventory::GetStockRequest { sku: "a b".into() }, domain, invalid(&["sku"]));
    let not_stocked = missing(reasons::SKU_NOT_FOUND, "inventory.v1.StockItem", "nothing");
    refused!(client, get_stock, inventory::GetStockRequest { sku: "nothing".into() }, domain, not_stocked);
    let list = inventory::ListStockRequest { page_size: -1, page_token: String::new() };
    refused!(client, list_stock, list, domain, invalid(&["page_size"]));
    let bad_token = Expected { reason: reasons::INVALID_PAGE_TOKEN, ..invalid(&["page_token"]) };
    let list = inventory::ListStockRequest { page_size: 1, page_token: "??".into() };
    refused!(client, list_stock, list, domain, bad_token);

    let not_reserved = || missing(reasons::RESERVATION_NOT_FOUND, "inventory.v1.Reservation", &unknown);
    let get = |order_id: &str| inventory::GetReservationRequest { order_id: order_id.into() };
    refused!(client, get_reservation, get("x"), domain, invalid(&["order_id"]));
    refused!(client, get_reservation, get(&unknown), domain, not_reserved());
    let close = |order_id: &str, status: ReservationStatus| inventory::CloseReservationRequest {
        order_id: order_id.into(),
        status: status.into(),
    };
    refused!(client, close_reservation, close("", ReservationStatus::Held), domain, invalid(&["order_id", "status"]));
    refused!(client, close_reservation, close(&unknown, ReservationStatus::Shipped), domain, not_reserved());

    let reserve = |order_id: &str, lines: &[(&str, u32)]| inventory::ReserveRequest {
        order_id: order_id.into(),
        lines: lines
            .iter()
            .map(|(sku, quantity)| inventory::ReserveLine { sku: (*sku).into(), quantity: *quantity })
            .collect(),
    };
    refused!(client, reserve, reserve("x", &[]), domain, invalid(&["order_id", "lines"]));
    let bad_lines = invalid(&["lines[0].sku", "lines[1].quantity", "lines[2].sku"]);
    refused!(client, reserve, reserve(&unknown, &[("", 1), ("a", 0), ("a", 1)]), domain, bad_lines);

    // The order is known to order-svc, as every order that is reserved for.
    let order = shop.place(&[(&sku, 1)]).await;
    let mismatch =
        Expected { code: Some(Code::AlreadyExists), reason: reasons::RESERVATION_MISMATCH, ..Expected::default() };
    refused!(client, reserve, reserve(&order.order_id, &[(&sku, 2)]), domain, mismatch);
    let row = inventory::ImportStockRequest { sku: "a".into(), row: 1, ..Default::default() };
    let status = client.import_stock(tokio_stream::iter([row])).await.unwrap_err();
    check("import_stock", &status, domain, &invalid(&["import_id"]));
}

/// Calls any method with any bytes: a message with the one field 1.
async fn raw(channel: Channel, path: &'static str, field: Vec<u8>) -> Status {
    let mut client = Grpc::new(channel);
    client.ready().await.unwrap();
    let codec = ProstCodec::<Vec<u8>, Vec<u8>>::default();
    client.unary(Request::new(field), PathAndQuery::from_static(path), codec).await.unwrap_err()
}

#[tokio::test]
async fn calls_that_no_handler_sees_are_refused_with_a_reason_too() {
    let platform = calm().await;
    let not_text = vec![0xff, 0xfe];
    let too_large = vec![b'x'; 2 * 1024 * 1024];
    for (path, field, code, reason) in [
        ("/orders.v1.OrderService/BuyOrder", vec![], Code::Unimplemented, reasons::UNIMPLEMENTED),
        ("/orders.v2.OrderService/PlaceOrder", vec![], Code::Unimplemented, reasons::UNIMPLEMENTED),
        ("/orders.v1.OrderService/GetOrder", not_text, Code::InvalidArgument, reasons::MALFORMED_MESSAGE),
        ("/orders.v1.OrderService/GetOrder", too_large, Code::ResourceExhausted, reasons::MESSAGE_TOO_LARGE),
    ] {
        let status = raw(platform.orders.channel(), path, field).await;
        let expected = Expected { code: Some(code), reason, ..Expected::default() };
        check(path, &status, reasons::ORDERS_DOMAIN, &expected);
    }
}
