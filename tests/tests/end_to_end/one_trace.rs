//! One order, one trace: over gRPC, Postgres and Kafka, as Jaeger shows it.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, ensure};
use proto::orders::v1::place_orders_response::Outcome;
use proto::orders::v1::{OrderStatus, PlaceOrdersRequest};
use proto::{headers, topics};
use tests::kafka::{self, Record};
use tests::platform::Platform;
use tests::traces::{self, ReferenceKind, Span, Trace};
use tests::waiting::{eventually, seconds};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::support::{calm, faults};

pub(crate) const PLACE: &str = "orders.v1.OrderService/PlaceOrder";
const CANCEL: &str = "orders.v1.OrderService/CancelOrder";
const RESERVE: &str = "inventory.v1.InventoryService/Reserve";

/// The records of an order in a topic.
pub(crate) async fn records_of(platform: &Platform, topic: &str, order_id: &str, count: usize) -> Vec<Record> {
    eventually(seconds(10), async || {
        let mut records = kafka::read_all(platform.kafka(), topic).await;
        records.retain(|record| record.key_text() == Some(order_id));
        ensure!(records.len() == count, "{} records of {order_id} in {topic}", records.len());
        Ok(records)
    })
    .await
}

/// Version, trace id, span id and flags of a traceparent.
pub(crate) fn parts(traceparent: &str) -> [String; 4] {
    let parts: Vec<String> = traceparent.split('-').map(str::to_owned).collect();
    parts.try_into().expect("a traceparent has four parts")
}

fn new_trace_id() -> String {
    Uuid::new_v4().simple().to_string()
}

/// The trace, once the spans of these names are there as often as said.
pub(crate) async fn complete(platform: &Platform, trace_id: &str, expected: &[(&str, &str, usize)]) -> Trace {
    eventually(seconds(15), async || {
        let found = traces::trace(platform.stack.traces.query_url(), trace_id).await?;
        let trace = found.with_context(|| format!("no trace {trace_id}"))?;
        for (service, name, count) in expected {
            let spans = trace.spans.iter().filter(|span| span.service == *service && span.name == *name).count();
            ensure!(spans == *count, "{spans} instead of {count} {service} {name} in {}", trace.outline());
        }
        Ok(trace)
    })
    .await
}

/// Every span with its service, kind and parent, sorted. Consumers' transactions are left out: there is one only where an
/// event overtook the commit of the call behind it, or came first.
fn tree(trace: &Trace) -> Vec<String> {
    let line = |span: &Span| {
        let above = trace.parent_of(span).map_or_else(|| "–".to_owned(), |it| format!("{} {}", it.service, it.name));
        let error = if span.is_error() { " failed" } else { "" };
        format!("{} {} ({}){error} < {above}", span.service, span.name, span.kind)
    };
    let mut lines: Vec<String> = trace.spans.iter().filter(|span| span.name != "consume").map(line).collect();
    lines.sort_unstable();
    lines
}

/// The tree is this, in any order; nothing is an orphan, and every consumer's transaction is below a record's span and did
/// not fail.
fn assert_tree(trace: &Trace, expected: &[&str]) {
    let mut expected = expected.to_vec();
    expected.sort_unstable();
    assert_eq!(tree(trace), expected, "{}", trace.outline());
    assert_eq!((trace.orphans().len(), trace.roots().len()), (0, 1), "{}", trace.outline());
    for transaction in trace.named("consume") {
        let above = trace.parent_of(transaction).expect("it is no orphan");
        assert!(above.name.starts_with("process ") && above.service == transaction.service, "{}", trace.outline());
        assert!(!transaction.is_error(), "{}", trace.outline());
    }
    for process in trace.spans.iter().filter(|span| span.name.starts_with("process ")) {
        // Jaeger's way of showing a span that is child of and linked to the same one.
        assert!(matches!(process.parent, Some((ReferenceKind::FollowsFrom, _))), "{}", trace.outline());
    }
}

/// The trace of the placement, from the first record of the order.
async fn placement(platform: &Platform, order_id: &str, records: usize) -> String {
    let records = records_of(platform, topics::ORDERS, order_id, records).await;
    let [_, trace_id, ..] = parts(records[0].header(headers::TRACEPARENT).unwrap());
    trace_id
}

#[tokio::test]
async fn rejected_order_is_one_trace_and_no_error() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("canoe", 1, (3, 0)).await;
    let order = shop.place(&[(&sku, 5)]).await;
    assert_eq!(order.status(), OrderStatus::Rejected);
    let trace_id = placement(&platform, &order.order_id, 2).await;
    let expected = [
        ("order-svc", PLACE, 1),
        ("order-svc", RESERVE, 1),
        ("inventory-svc", RESERVE, 1),
        ("order-svc", "write_orders", 2),
        ("inventory-svc", "write_stock", 1),
        ("inventory-svc", "process orders.v1", 2),
        ("order-svc", "process inventory.v1", 1),
    ];
    let trace = complete(&platform, &trace_id, &expected).await;
    let place = trace.only(PLACE);
    assert_eq!(place.tag("shop.order.status").as_deref(), Some("REJECTED"));
    assert_eq!(place.tag("rpc.response.status_code").as_deref(), Some("OK"));
    // Whoever rejects the order first causes the second event: the call, or inventory's event.
    let by = |cause: &str| format!("order-svc send orders.v1 (producer) < order-svc {cause}");
    let second = trace.named("send orders.v1").into_iter().filter_map(|send| trace.parent_of(send));
    let overtaken = second.filter(|cause| cause.name == "process inventory.v1").count();
    let cause = if overtaken == 1 { by("process inventory.v1") } else { by(PLACE) };
    assert_tree(
        &trace,
        &[
            &format!("order-svc {PLACE} (server) < –"),
            &format!("order-svc write_orders (client) < order-svc {PLACE}"),
            &format!("order-svc write_orders (client) < order-svc {PLACE}"),
            &format!("order-svc {RESERVE} (client) < order-svc {PLACE}"),
            &format!("inventory-svc {RESERVE} (server) < order-svc {RESERVE}"),
            &format!("inventory-svc write_stock (client) < inventory-svc {RESERVE}"),
            &format!("inventory-svc send inventory.v1 (producer) < inventory-svc {RESERVE}"),
            "order-svc process inventory.v1 (consumer) < inventory-svc send inventory.v1",
            &by(PLACE),
            &cause,
            "inventory-svc process orders.v1 (consumer) < order-svc send orders.v1",
            "inventory-svc process orders.v1 (consumer) < order-svc send orders.v1",
        ],
    );
}

#[tokio::test]
async fn order_that_waited_for_inventory_is_one_trace_over_kafka() {
    let mut platform = faults().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("lifeboat", 5, (3, 0)).await;
    platform.inventory.kill();
    let mut request = Request::new(shop.request(&[(&sku, 1)]));
    request.set_timeout(Duration::from_secs(2));
    let order = shop.orders.place_order(request).await.unwrap().into_inner().order.unwrap();
    assert_eq!(order.status(), OrderStatus::Pending);
    platform.inventory.start_ready().await;
    shop.becomes(&order.order_id, OrderStatus::Confirmed, 30).await;
    let trace_id = placement(&platform, &order.order_id, 2).await;
    let expected = [
        ("order-svc", PLACE, 1),
        ("order-svc", RESERVE, 1),
        ("inventory-svc", "process orders.v1", 2),
        ("inventory-svc", "send inventory.v1", 1),
        ("order-svc", "process inventory.v1", 1),
        ("order-svc", "send orders.v1", 2),
    ];
    let trace = complete(&platform, &trace_id, &expected).await;
    let call = trace.only(RESERVE);
    assert_eq!(call.tag("rpc.response.status_code").as_deref(), Some("UNAVAILABLE"));
    assert_tree(
        &trace,
        &[
            &format!("order-svc {PLACE} (server) < –"),
            &format!("order-svc write_orders (client) < order-svc {PLACE}"),
            &format!("order-svc {RESERVE} (client) failed < order-svc {PLACE}"),
            &format!("order-svc send orders.v1 (producer) < order-svc {PLACE}"),
            "inventory-svc process orders.v1 (consumer) < order-svc send orders.v1",
            "inventory-svc send inventory.v1 (producer) < inventory-svc process orders.v1",
            "order-svc process inventory.v1 (consumer) < inventory-svc send inventory.v1",
            "order-svc send orders.v1 (producer) < order-svc process inventory.v1",
            "inventory-svc process orders.v1 (consumer) < order-svc send orders.v1",
        ],
    );
}

#[tokio::test]
async fn placed_order_is_one_trace_without_orphans() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("tent", 10, (3, 0)).await;
    let order = shop.place(&[(&sku, 1)]).await;
    let placed = records_of(&platform, topics::ORDERS, &order.order_id, 2).await;
    let reserved = records_of(&platform, topics::INVENTORY, &order.order_id, 1).await;
    let [_, trace_id, ..] = parts(placed[0].header(headers::TRACEPARENT).unwrap());

    let trace = complete(
        &platform,
        &trace_id,
        &[
            ("order-svc", PLACE, 1),
            ("order-svc", RESERVE, 1),
            ("inventory-svc", RESERVE, 1),
            ("order-svc", "write_orders", 2),
            ("inventory-svc", "write_stock", 1),
            ("order-svc", "send orders.v1", 2),
            ("inventory-svc", "process orders.v1", 2),
            ("inventory-svc", "send inventory.v1", 1),
            ("order-svc", "process inventory.v1", 1),
        ],
    )
    .await;

    assert_eq!(trace.orphans().len(), 0, "{}", trace.outline());
    assert_eq!(trace.roots().len(), 1, "{}", trace.outline());
    // A consumer asks the database only about an event that overtook the commit of the call behind it.
    let transactions = trace.named("consume").len();
    assert_eq!(trace.spans.len(), 12 + transactions, "no span that the contract does not name: {}", trace.outline());
    assert!(!trace.spans.iter().any(tests::traces::Span::is_error));

    let place = trace.roots()[0];
    assert_eq!((&*place.name, &*place.kind, &*place.service), (PLACE, "server", "order-svc"));
    for (key, value) in [
        ("rpc.system.name", "grpc"),
        ("rpc.method", PLACE),
        ("rpc.response.status_code", "OK"),
        ("shop.order.id", &*order.order_id),
    ] {
        assert_eq!(place.tag(key).as_deref(), Some(value), "{key}");
    }
    // Nothing but transactions, the call and the events is directly below it.
    assert_eq!(trace.children(place, "write_orders").len(), 2);
    // Whoever confirms the order first causes the second event: the call, or inventory's event.
    for send in trace.named("send orders.v1") {
        let cause = trace.parent_of(send).unwrap();
        assert!([PLACE, "process inventory.v1"].contains(&&*cause.name), "{}", trace.outline());
    }
    let [call] = trace.children(place, RESERVE)[..] else { panic!("one call: {}", trace.outline()) };
    assert_eq!((&*call.kind, &*call.service), ("client", "order-svc"));
    assert_eq!(call.tag("server.address").as_deref(), Some(&*format!("127.0.0.1:{}", platform.inventory.grpc_port)));
    let [answer] = trace.children(call, RESERVE)[..] else { panic!("one answer: {}", trace.outline()) };
    assert_eq!((&*answer.kind, &*answer.service), ("server", "inventory-svc"));
    assert_eq!(trace.children(answer, "write_stock").len(), 1);
    assert_eq!(trace.children(answer, "send inventory.v1").len(), 1);

    for span in trace.spans.iter().filter(|span| ["write_orders", "write_stock", "consume"].contains(&&*span.name)) {
        assert_eq!(span.kind, "client");
        assert_eq!(span.tag("db.system.name").as_deref(), Some("postgresql"));
        assert_eq!(span.tag("db.operation.name").as_deref(), Some(&*span.name));
        assert!(span.tag("db.query.summary").is_some());
    }
    for (topic, group, records) in
        [(topics::ORDERS, topics::INVENTORY_SERVICE, &placed), (topics::INVENTORY, topics::ORDER_SERVICE, &reserved)]
    {
        assert_messages(&trace, topic, group, records);
    }
}

/// A record's traceparent is that of its `send` span; `process` is its child and links to it.
fn assert_messages(trace: &Trace, topic: &str, group: &str, records: &[Record]) {
    for record in records {
        let [version, trace_id, span_id, flags] = parts(record.header(headers::TRACEPARENT).unwrap());
        assert_eq!((&*version, &*trace_id, &*flags), ("00", &*trace.id, "01"));
        let send = trace.spans.iter().find(|span| span.id == span_id).expect("the traceparent names a span");
        assert_eq!((&*send.name, &*send.kind), (&*format!("send {topic}"), "producer"));
        let [process] = trace.children(send, &format!("process {topic}"))[..] else {
            panic!("one consumer: {}", trace.outline())
        };
        assert_eq!((&*process.kind, &*process.service), ("consumer", group));
        // Jaeger's way of showing a span that is child of and linked to the same one.
        assert_eq!(process.parent, Some((ReferenceKind::FollowsFrom, span_id)));
        for (span, operation) in [(send, "send"), (process, "process")] {
            for (key, value) in [
                ("messaging.system", "kafka"),
                ("messaging.operation.name", operation),
                ("messaging.operation.type", operation),
                ("messaging.destination.name", topic),
                ("messaging.message.id", record.header(headers::CE_ID).unwrap()),
            ] {
                assert_eq!(span.tag(key).as_deref(), Some(value), "{key} of {}", span.name);
            }
        }
        for (key, value) in [
            ("messaging.destination.partition.id", record.partition.to_string()),
            ("messaging.kafka.offset", record.offset.to_string()),
            ("messaging.consumer.group.name", group.to_owned()),
        ] {
            assert_eq!(process.tag(key), Some(value), "{key}");
        }
    }
}

#[tokio::test]
async fn cancellation_is_a_trace_of_its_own_that_links_to_the_placement() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("boat", 10, (3, 0)).await;
    let order = shop.place(&[(&sku, 1)]).await;
    shop.cancel(&order.order_id, "").await.unwrap();
    let records = records_of(&platform, topics::ORDERS, &order.order_id, 3).await;
    let [_, placement, ..] = parts(records[0].header(headers::TRACEPARENT).unwrap());
    let [_, cancellation, ..] = parts(records[2].header(headers::TRACEPARENT).unwrap());
    assert_ne!(placement, cancellation);

    let trace = complete(
        &platform,
        &cancellation,
        &[
            ("order-svc", CANCEL, 1),
            ("order-svc", "send orders.v1", 1),
            ("inventory-svc", "process orders.v1", 1),
            ("inventory-svc", "send inventory.v1", 1),
            ("order-svc", "process inventory.v1", 1),
        ],
    )
    .await;
    assert_tree(
        &trace,
        &[
            &format!("order-svc {CANCEL} (server) < –"),
            &format!("order-svc write_orders (client) < order-svc {CANCEL}"),
            &format!("order-svc send orders.v1 (producer) < order-svc {CANCEL}"),
            "inventory-svc process orders.v1 (consumer) < order-svc send orders.v1",
            "inventory-svc send inventory.v1 (producer) < inventory-svc process orders.v1",
            "order-svc process inventory.v1 (consumer) < inventory-svc send inventory.v1",
        ],
    );
    let placed = complete(&platform, &placement, &[("order-svc", PLACE, 1)]).await;
    assert_eq!(trace.only(CANCEL).links, [(placement, placed.only(PLACE).id.clone())]);
}

#[tokio::test]
async fn stream_of_orders_is_one_span_with_an_event_for_each_and_its_own_status() {
    const PLACE_ORDERS: &str = "orders.v1.OrderService/PlaceOrders";
    const ORDERS: usize = 100;
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("bead", 1_000, (1, 0)).await;
    let trace_id = new_trace_id();
    let order = shop.request(&[(&sku, 1)]);
    let orders =
        (1..).take(ORDERS).map(move |sequence| PlaceOrdersRequest { sequence, place_order: Some(order.clone()) });
    let mut request = Request::new(tokio_stream::iter(orders));
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request.metadata_mut().insert(headers::TRACEPARENT, traceparent.parse().unwrap());
    let mut answers = shop.orders.place_orders(request).await.unwrap().into_inner();
    let mut placed = BTreeSet::new();
    while let Some(answer) = answers.message().await.unwrap() {
        match answer.outcome.unwrap() {
            Outcome::Order(order) => placed.insert(order.order_id),
            Outcome::Error(error) => panic!("{error:?}"),
        };
    }
    assert_eq!(placed.len(), ORDERS);

    let expected = [("order-svc", PLACE_ORDERS, 1), ("order-svc", RESERVE, ORDERS), ("inventory-svc", RESERVE, ORDERS)];
    let trace = complete(&platform, &trace_id, &expected).await;
    let stream = trace.only(PLACE_ORDERS);
    assert_eq!(stream.tag("rpc.response.status_code").as_deref(), Some("OK"), "{}", trace.outline());
    assert_eq!(stream.tag("shop.order.id"), None, "it would be that of one of them");
    // What a search in Jaeger for an order looks at, too.
    let searched = placed.first().unwrap();
    let found = traces::find(platform.stack.traces.query_url(), "order-svc", "shop.order.id", searched).await.unwrap();
    assert!(found.iter().any(|trace| trace.spans.iter().any(|span| span.name == PLACE_ORDERS)), "{found:?}");
}

#[tokio::test]
async fn caller_s_trace_goes_on_and_a_malformed_one_begins_anew() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("flag", 10, (3, 0)).await;

    let trace_id = new_trace_id();
    let mut request = Request::new(shop.request(&[(&sku, 1)]));
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request.metadata_mut().insert(headers::TRACEPARENT, traceparent.parse().unwrap());
    request.metadata_mut().insert(headers::TRACESTATE, "vendor=1".parse().unwrap());
    let order = shop.orders.place_order(request).await.unwrap().into_inner().order.unwrap();
    // Each service sends its spans when it likes.
    let expected = [("order-svc", PLACE, 1), ("inventory-svc", "process orders.v1", 2)];
    let trace = complete(&platform, &trace_id, &expected).await;
    let place = trace.only(PLACE);
    assert_eq!(place.parent, Some((ReferenceKind::ChildOf, "00f067aa0ba902b7".to_owned())));
    let records = records_of(&platform, topics::ORDERS, &order.order_id, 2).await;
    assert_eq!(records[0].header(headers::TRACESTATE), Some("vendor=1"));

    for malformed in ["00-xyz-00f067aa0ba902b7-01", "00-00000000000000000000000000000000-00f067aa0ba902b7-01", "x"] {
        let mut request = Request::new(shop.request(&[(&sku, 1)]));
        request.metadata_mut().insert(headers::TRACEPARENT, malformed.parse().unwrap());
        let order = shop.orders.place_order(request).await.unwrap().into_inner().order.unwrap();
        let records = records_of(&platform, topics::ORDERS, &order.order_id, 2).await;
        let [_, trace_id, ..] = parts(records[0].header(headers::TRACEPARENT).unwrap());
        let trace = complete(&platform, &trace_id, &[("order-svc", PLACE, 1)]).await;
        assert!(trace.only(PLACE).parent.is_none(), "{malformed} has no child");
    }
}

#[tokio::test]
async fn unsampled_caller_gets_no_spans_but_its_ids_travel_to_kafka() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("drum", 10, (3, 0)).await;
    let trace_id = new_trace_id();
    let mut request = Request::new(shop.request(&[(&sku, 1)]));
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-00");
    request.metadata_mut().insert(headers::TRACEPARENT, traceparent.parse().unwrap());
    let unsampled = shop.orders.place_order(request).await.unwrap().into_inner().order.unwrap();
    for (topic, count) in [(topics::ORDERS, 2), (topics::INVENTORY, 1)] {
        for record in records_of(&platform, topic, &unsampled.order_id, count).await {
            let [_, carried, _, flags] = parts(record.header(headers::TRACEPARENT).unwrap());
            assert_eq!((&*carried, &*flags), (&*trace_id, "00"), "{topic}");
        }
    }

    // A later, sampled order has arrived in the store with all its spans: so would this one have.
    let later = shop.place(&[(&sku, 1)]).await;
    let records = records_of(&platform, topics::ORDERS, &later.order_id, 2).await;
    let [_, later_trace, ..] = parts(records[0].header(headers::TRACEPARENT).unwrap());
    complete(&platform, &later_trace, &[("order-svc", "process inventory.v1", 1)]).await;
    assert!(traces::trace(platform.stack.traces.query_url(), &trace_id).await.unwrap().is_none());
}

#[tokio::test]
async fn refused_call_is_no_error_of_the_server() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let trace_id = new_trace_id();
    let request = proto::orders::v1::GetOrderRequest { order_id: Uuid::now_v7().to_string() };
    let mut request = Request::new(request);
    let traceparent = format!("00-{trace_id}-00f067aa0ba902b7-01");
    request.metadata_mut().insert(headers::TRACEPARENT, traceparent.parse().unwrap());
    assert_eq!(shop.orders.get_order(request).await.unwrap_err().code(), Code::NotFound);
    let trace = complete(&platform, &trace_id, &[("order-svc", "orders.v1.OrderService/GetOrder", 1)]).await;
    let get = trace.only("orders.v1.OrderService/GetOrder");
    assert_eq!(get.tag("rpc.response.status_code").as_deref(), Some("NOT_FOUND"));
    assert!(!get.is_error());
    let names: BTreeSet<&str> = trace.spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, BTreeSet::from(["get_order", "orders.v1.OrderService/GetOrder"]));
}
