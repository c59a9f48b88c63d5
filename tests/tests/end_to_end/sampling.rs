//! Which traces are recorded is Jaeger's to say, while the services run.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Result, ensure};
use proto::headers;
use proto::orders::v1::GetOrderRequest;
use proto::topics;
use tests::platform::Platform;
use tests::shop::Shop;
use tests::traces;
use tests::waiting::{eventually, seconds};

use crate::one_trace::{PLACE, complete, parts, records_of};
use crate::support::faults;

/// The promise.
const LIMIT: u64 = 60;

/// Tells order-svc, from the next look of Jaeger and of the service on. In one move, so that nobody reads half of it.
fn tell(file: &Path, operations: &str) {
    let text = format!(
        r#"{{ "default_strategy": {{ "type": "probabilistic", "param": 1 }},
             "service_strategies": [{{ "service": "order-svc", "type": "probabilistic", "param": 0,
                                       "operation_strategies": [{operations}] }}] }}"#
    );
    let fresh = file.with_extension("json.new");
    fs::write(&fresh, text).unwrap();
    fs::rename(fresh, file).unwrap();
}

/// Places an order; its id, its trace's id, and whether that is recorded.
async fn place(platform: &Platform, shop: &mut Shop, sku: &str) -> (String, String, bool) {
    let order = shop.place(&[(sku, 1)]).await;
    let records = records_of(platform, topics::ORDERS, &order.order_id, 2).await;
    let [_, trace_id, _, flags] = parts(records[0].header(headers::TRACEPARENT).unwrap());
    (order.order_id, trace_id, flags == "01")
}

async fn placements_become(platform: &Platform, shop: &Shop, sku: &str, recorded: bool) -> (String, String) {
    let begun = Instant::now();
    let found = eventually(seconds(LIMIT), async || -> Result<_> {
        let (order_id, trace_id, is_recorded) = place(platform, &mut shop.clone(), sku).await;
        ensure!(is_recorded == recorded, "orders are recorded: {is_recorded}");
        Ok((order_id, trace_id))
    })
    .await;
    eprintln!("orders are recorded: {recorded}, {:?} after the rate was changed", begun.elapsed());
    found
}

#[tokio::test]
async fn rate_that_jaeger_gives_holds_within_a_minute_and_for_one_operation_only() {
    let mut platform = faults().await;
    let Some((endpoint, file)) = platform.stack.traces.sampling() else {
        eprintln!("SKIPPED: the substitute for Jaeger gives no sampling rates");
        return;
    };
    let (file, argument) =
        (file.to_owned(), format!("endpoint={endpoint},pollingIntervalMs=500,initialSamplingRate=0"));
    tell(&file, "");
    platform.orders.set("OTEL_TRACES_SAMPLER", "parentbased_jaeger_remote");
    platform.orders.set("OTEL_TRACES_SAMPLER_ARG", argument);
    platform.orders.restart().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("compass", 10_000, (3, 0)).await;
    placements_become(&platform, &shop, &sku, false).await;

    tell(&file, &format!(r#"{{ "operation": "{PLACE}", "type": "probabilistic", "param": 1 }}"#));
    let (order_id, trace_id) = placements_become(&platform, &shop, &sku, true).await;
    for _ in 0..20 {
        shop.orders.get_order(GetOrderRequest { order_id: order_id.clone() }).await.unwrap();
    }
    // A later order has arrived in the store with all its spans: so would those reads have.
    let (_, later, _) = place(&platform, &mut shop, &sku).await;
    for trace_id in [&trace_id, &later] {
        complete(&platform, trace_id, &[("order-svc", PLACE, 1), ("order-svc", "process inventory.v1", 1)]).await;
    }
    let query_url = platform.stack.traces.query_url();
    let about_it = traces::find(query_url, "order-svc", "shop.order.id", &order_id).await.unwrap();
    assert_eq!(about_it.iter().map(|trace| &*trace.id).collect::<Vec<_>>(), [&*trace_id], "the placement, and no read");
    let share = platform.orders.metrics().await.sum("telemetry_sampling_share", &[]);
    assert_eq!(share, 0.0, "of operations without a rate of their own");

    tell(&file, "");
    placements_become(&platform, &shop, &sku, false).await;
}
