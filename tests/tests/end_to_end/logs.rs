//! What callers send along is nobody's business: it shows up nowhere, however much is logged. How much is logged can be
//! changed while a service runs.

use std::time::Duration;

use proto::orders::v1::{CancelOrderRequest, GetOrderRequest};
use proto::{headers, topics};
use tests::kafka;
use tests::service::Service;
use tests::traces;
use tests::waiting::seconds;
use tonic::metadata::MetadataMap;
use tonic::{Code, Request};
use uuid::Uuid;

use crate::one_trace::{PLACE, complete, parts, records_of};
use crate::support::faults;

/// Puts the token wherever a caller may put one.
fn with_token<T>(message: T, token: &str) -> Request<T> {
    let mut request = Request::new(message);
    let metadata: &mut MetadataMap = request.metadata_mut();
    metadata.insert("authorization", format!("Bearer {token}").parse().unwrap());
    metadata.insert("cookie", format!("session={token}").parse().unwrap());
    metadata.insert("x-api-key", token.parse().unwrap());
    metadata.insert("baggage", format!("token={token}").parse().unwrap());
    metadata.insert_bin("token-bin", tonic::metadata::MetadataValue::from_bytes(token.as_bytes()));
    request
}

fn debug_lines(service: &Service) -> usize {
    service.log().lines().filter(|line| line.contains(r#""level":"DEBUG""#)).count()
}

#[tokio::test]
async fn token_in_metadata_shows_up_nowhere_although_everything_is_logged() {
    let platform = faults().await;
    let services = [&platform.orders, &platform.inventory];
    let token = format!("canary{}", Uuid::new_v4().simple());
    let mut shop = platform.shop();
    let sku = shop.stocked("canary", 100, (3, 0)).await;
    let before = services.map(debug_lines);
    for service in services {
        // Below that a released program says nothing.
        service.log_at("debug").await;
    }

    let placed = shop.orders.place_order(with_token(shop.request(&[(&sku, 1)]), &token)).await;
    let order_id = placed.unwrap().into_inner().order.unwrap().order_id;
    let refused = shop.orders.place_order(with_token(shop.request(&[]), &token)).await.unwrap_err();
    assert_eq!(refused.code(), Code::InvalidArgument);
    let unknown = GetOrderRequest { order_id: Uuid::now_v7().to_string() };
    assert_eq!(shop.orders.get_order(with_token(unknown, &token)).await.unwrap_err().code(), Code::NotFound);
    let mut hasty = with_token(shop.request(&[(&sku, 1)]), &token);
    hasty.set_timeout(Duration::from_millis(1));
    drop(shop.orders.place_order(hasty).await);
    let given_up = shop.orders.place_order(with_token(shop.request(&[(&sku, 1)]), &token));
    drop(tokio::time::timeout(Duration::from_millis(1), given_up).await);
    let message = CancelOrderRequest { order_id: order_id.clone(), note: "for a test".to_owned() };
    shop.orders.cancel_order(with_token(message, &token)).await.unwrap();

    let records = records_of(&platform, topics::ORDERS, &order_id, 3).await;
    let [_, trace_id, ..] = parts(records[0].header(headers::TRACEPARENT).unwrap());
    complete(&platform, &trace_id, &[("order-svc", PLACE, 1), ("order-svc", "process inventory.v1", 1)]).await;
    platform.quiet(seconds(20)).await;
    for service in services {
        service.log_at("info").await;
    }

    for (service, before) in services.into_iter().zip(before) {
        let seen = debug_lines(service);
        assert!(seen > before, "debug was on");
        assert!(!service.log().contains(&token), "in the log: {}", line_with(&service.log(), &token));
        let metrics = service.page("metrics").await;
        assert!(!metrics.contains(&token), "in the metrics: {}", line_with(&metrics, &token));
    }
    for name in [topics::ORDER_SERVICE, topics::INVENTORY_SERVICE] {
        let found = traces::raw(platform.stack.traces.query_url(), name).await.unwrap();
        assert!(found.contains(&trace_id) && !found.contains(&token), "in the traces of {name}");
    }
    for topic in [topics::ORDERS, topics::INVENTORY] {
        for record in kafka::read_all(platform.kafka(), topic).await {
            let parts = record.headers.iter().filter_map(|(_, value)| value.as_deref()).chain(record.value.as_deref());
            for part in parts {
                assert!(!String::from_utf8_lossy(part).contains(&token), "in {topic}: {record:?}");
            }
        }
    }
}

fn line_with<'text>(text: &'text str, token: &str) -> &'text str {
    text.lines().find(|line| line.contains(token)).unwrap_or_default()
}
