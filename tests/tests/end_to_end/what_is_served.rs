//! Reflection, health and metrics.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::ensure;
use proto::orders::v1::OrderStatus;
use tests::metrics::Metrics;
use tests::service::Service;
use tests::waiting::{eventually, seconds};
use tonic::client::Grpc;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::{Code, Request};
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_prost::ProstCodec;
use tonic_reflection::pb::{v1, v1alpha};

use crate::support::calm;

const ORDERS: &str = "orders.v1.OrderService";
const INVENTORY: &str = "inventory.v1.InventoryService";

/// Names that a version of the reflection protocol lists, and how many files it gives for `symbol`.
macro_rules! reflected {
    ($version:ident, $service:expr, $symbol:expr) => {{
        use $version::server_reflection_request::MessageRequest;
        use $version::server_reflection_response::MessageResponse;
        let mut client = $version::server_reflection_client::ServerReflectionClient::new($service.channel());
        let requests =
            [MessageRequest::ListServices(String::new()), MessageRequest::FileContainingSymbol($symbol.into())].map(
                |request| $version::ServerReflectionRequest { host: String::new(), message_request: Some(request) },
            );
        let mut answers = client.server_reflection_info(tokio_stream::iter(requests)).await.unwrap().into_inner();
        let mut names = BTreeSet::new();
        let mut files = 0;
        while let Some(answer) = answers.message().await.unwrap() {
            match answer.message_response.unwrap() {
                MessageResponse::ListServicesResponse(list) => {
                    names.extend(list.service.into_iter().map(|service| service.name));
                }
                MessageResponse::FileDescriptorResponse(found) => files += found.file_descriptor_proto.len(),
                other => panic!("{other:?}"),
            }
        }
        (names, files)
    }};
}

#[tokio::test]
async fn reflection_lists_what_each_service_serves() {
    let platform = calm().await;
    for (service, name) in [(&platform.orders, ORDERS), (&platform.inventory, INVENTORY)] {
        let of_v1 = reflected!(v1, service, name);
        let of_v1alpha = reflected!(v1alpha, service, name);
        for (names, files) in [of_v1, of_v1alpha] {
            let own: BTreeSet<&str> =
                names.iter().map(String::as_str).filter(|name| !name.starts_with("grpc.reflection.")).collect();
            assert_eq!(own, BTreeSet::from([name, "grpc.health.v1.Health"]));
            assert!(files > 0);
        }
    }
}

#[tokio::test]
async fn health_is_told_for_each_service_and_the_whole() {
    let platform = calm().await;
    for (service, name) in [(&platform.orders, ORDERS), (&platform.inventory, INVENTORY)] {
        let mut client = HealthClient::new(service.channel());
        for asked in ["", name] {
            let answer = client.check(HealthCheckRequest { service: asked.to_owned() }).await.unwrap().into_inner();
            assert_eq!(answer.status(), ServingStatus::Serving, "{asked:?}");
        }
        let unknown = client.check(HealthCheckRequest { service: "no.such.Service".into() }).await.unwrap_err();
        assert_eq!(unknown.code(), Code::NotFound);
    }
}

/// Metric, type, labels, and whether the inventory has it, too.
const TABLE: [(&str, &str, &[&str], bool); 13] = [
    ("rpc_server_call_duration_seconds", "histogram", &["rpc_method", "rpc_response_status_code"], true),
    (
        "rpc_client_call_duration_seconds",
        "histogram",
        &["rpc_method", "rpc_response_status_code", "server_address"],
        false,
    ),
    ("rpc_server_active_requests", "gauge", &["rpc_method"], true),
    ("messaging_client_sent_messages_total", "counter", &["messaging_destination_name", "outcome"], true),
    (
        "messaging_client_consumed_messages_total",
        "counter",
        &["messaging_consumer_group_name", "messaging_destination_name"],
        true,
    ),
    ("messaging_process_duration_seconds", "histogram", &["messaging_destination_name", "outcome"], true),
    ("db_client_operation_duration_seconds", "histogram", &["db_operation_name", "outcome"], true),
    ("orders_placed_total", "counter", &["outcome"], false),
    ("orders_transitions_total", "counter", &["from", "to"], false),
    ("order_completion_seconds", "histogram", &["outcome"], false),
    ("outbox_pending_messages", "gauge", &[], true),
    ("outbox_oldest_message_age_seconds", "gauge", &[], true),
    ("kafka_consumer_lag_messages", "gauge", &["messaging_destination_name", "partition"], true),
];

const EDGES: [&str; 15] = [
    "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25", "0.5", "1", "2.5", "5", "10", "+Inf",
];

async fn all_metrics(service: &Service, is_inventory: bool) -> Metrics {
    eventually(seconds(10), async || {
        let metrics = service.metrics().await;
        for (name, ..) in TABLE.iter().filter(|(.., both)| *both || !is_inventory) {
            ensure!(!metrics.label_sets(name).is_empty(), "{name} is not there");
        }
        let partitions = metrics.values("kafka_consumer_lag_messages", "partition");
        ensure!(partitions.len() == 6, "lag of {partitions:?}");
        Ok(metrics)
    })
    .await
}

#[tokio::test]
async fn metrics_have_the_contract_s_names_types_labels_and_buckets() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("gauge", 10, (1, 0)).await;
    let mut request = shop.request(&[(&sku, 1)]);
    request.request_id = shop.mark.clone();
    let order = shop.try_place(request.clone()).await.unwrap();
    shop.try_place(request).await.unwrap();
    let rejected = shop.place(&[(&sku, 100)]).await;
    assert_eq!(rejected.status(), OrderStatus::Rejected);
    shop.cancel(&order.order_id, "").await.unwrap();
    let fulfilled = shop.place(&[(&sku, 1)]).await;
    shop.fulfil(&fulfilled.order_id).await.unwrap();
    shop.stock_becomes(&sku, 9, 0).await;
    for service in [&platform.orders, &platform.inventory] {
        let mut client = Grpc::new(service.channel());
        client.ready().await.unwrap();
        let codec = ProstCodec::<(), ()>::default();
        let path = PathAndQuery::from_static("/made.up.Service/Method");
        client.unary(Request::new(()), path, codec).await.unwrap_err();
    }

    for (service, is_inventory) in [(&platform.orders, false), (&platform.inventory, true)] {
        let metrics = all_metrics(service, is_inventory).await;
        for (name, kind, labels, _) in TABLE.iter().filter(|(.., both)| *both || !is_inventory) {
            assert_eq!(metrics.types.get(*name).map(String::as_str), Some(*kind), "{name}");
            let labels: BTreeSet<String> = labels.iter().map(|label| (*label).to_owned()).collect();
            assert_eq!(metrics.label_sets(name), BTreeSet::from([labels]), "{name}");
            if *kind == "histogram" {
                assert_eq!(edges(&metrics, name), expected_edges(name), "{name}");
            }
        }
        if let Some(kind) = metrics.types.get("dead_letters_total") {
            let labels = ["messaging_destination_name", "reason"].map(str::to_owned);
            assert_eq!((&**kind, metrics.label_sets("dead_letters_total")), ("counter", [labels.into()].into()));
        }
        let methods = metrics.values("rpc_server_call_duration_seconds", "rpc_method");
        assert!(methods.contains("_OTHER"), "{methods:?}");
        assert!(!methods.iter().any(|method| method.contains("made.up")), "{methods:?}");
    }
    assert_orders(&platform.orders.metrics().await, &format!("127.0.0.1:{}", platform.inventory.grpc_port));
}

/// Edges of a histogram's buckets, as often as it has series.
fn edges(metrics: &Metrics, name: &str) -> BTreeSet<String> {
    let buckets = format!("{name}_bucket");
    let edges: Vec<String> = metrics.select(&buckets, &[]).map(|sample| sample.labels["le"].clone()).collect();
    let mut counts = BTreeMap::new();
    for edge in &edges {
        *counts.entry(edge).or_insert(0) += 1;
    }
    assert_eq!(counts.values().collect::<BTreeSet<_>>().len(), 1, "every series of {name} has every edge");
    edges.into_iter().collect()
}

fn expected_edges(name: &str) -> BTreeSet<String> {
    let more = if name == "order_completion_seconds" { &["30", "60", "300"][..] } else { &[] };
    EDGES.iter().chain(more).map(|edge| (*edge).to_owned()).collect()
}

fn assert_orders(metrics: &Metrics, inventory: &str) {
    for outcome in ["confirmed", "rejected", "replayed"] {
        assert!(metrics.sum("orders_placed_total", &[("outcome", outcome)]) >= 1.0, "{outcome}");
    }
    for (from, to) in [
        ("none", "pending"),
        ("pending", "confirmed"),
        ("pending", "rejected"),
        ("confirmed", "cancelled"),
        ("confirmed", "fulfilled"),
    ] {
        assert!(metrics.sum("orders_transitions_total", &[("from", from), ("to", to)]) >= 1.0, "{from} to {to}");
    }
    for outcome in ["confirmed", "rejected"] {
        assert!(metrics.sum("order_completion_seconds_count", &[("outcome", outcome)]) >= 1.0, "{outcome}");
    }
    let addresses = metrics.values("rpc_client_call_duration_seconds", "server_address");
    assert_eq!(addresses, BTreeSet::from([inventory.to_owned()]), "the target as configured");
}
