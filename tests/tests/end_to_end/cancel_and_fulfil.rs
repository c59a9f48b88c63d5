//! The life of an order, from its placement to its end.

use proto::google::r#type::Money;
use proto::orders::v1::OrderStatus;
use proto::reasons;
use tests::audit::{self, Of};
use tests::platform::Platform;
use tests::refusal::Refusal;
use tests::service::Part;
use tests::shop::money;
use tests::waiting::{eventually, seconds};
use tonic::Code;
use uuid::Uuid;

use crate::support::calm;

/// Waits until inventory was heard of: the order is off the sweep's work list.
async fn settled(platform: &Platform, order_id: &str) {
    let (database, order_id) = (platform.database(Part::Orders), order_id.parse::<Uuid>().unwrap());
    eventually(seconds(10), async || {
        let count: i64 = sqlx::query_scalar("select count(*) from unfinished_orders where order_id = $1")
            .bind(order_id)
            .fetch_one(&database)
            .await?;
        anyhow::ensure!(count == 0, "{order_id} is unfinished");
        Ok(())
    })
    .await;
}

#[tokio::test]
async fn placed_order_is_confirmed_at_the_prices_of_the_moment_and_holds_its_stock() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let kettle = shop.stocked("kettle", 10, (19, 990_000_000)).await;
    let mug = shop.stocked("mug", 5, (0, 333_333_333)).await;

    let order = shop.place(&[(&kettle, 3), (&mug, 2)]).await;

    assert_eq!(order.status(), OrderStatus::Confirmed, "{order:?}");
    assert_eq!(order.version, 2);
    assert_eq!(order.customer_id, shop.customer);
    assert_eq!(order.order_id.parse::<Uuid>().unwrap().get_version_num(), 7);
    // 3 × 19.99 + 2 × 0.333333333
    assert_eq!(order.total, Some(money("EUR", 60, 636_666_666)));
    let lines: Vec<_> =
        order.lines.iter().map(|line| (line.sku.clone(), line.quantity, line.unit_price.clone())).collect();
    let price = |units, nanos| Some(Money { currency_code: "EUR".into(), units, nanos });
    assert_eq!(lines, [(kettle.clone(), 3, price(19, 990_000_000)), (mug.clone(), 2, price(0, 333_333_333))]);
    assert!(order.status_reason.is_empty() && order.status_note.is_empty() && order.shortages.is_empty());
    let (created, updated) = (order.create_time.unwrap(), order.update_time.unwrap());
    assert!((created.seconds, created.nanos) <= (updated.seconds, updated.nanos));

    assert_eq!(shop.order(&order.order_id).await, order, "GetOrder gives what PlaceOrder gave");
    shop.stock_becomes(&kettle, 10, 3).await;
    shop.stock_becomes(&mug, 5, 2).await;
    settled(&platform, &order.order_id).await;
    let found = audit::orders(&platform, Of::Customer(&shop.customer), seconds(10)).await;
    assert_eq!((found.orders, found.events), (1, 3));
}

#[tokio::test]
async fn cancelled_order_gives_its_stock_back_and_stays_cancelled() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("lamp", 4, (7, 0)).await;
    let placed = shop.place(&[(&sku, 4)]).await;
    shop.stock_becomes(&sku, 4, 4).await;

    let cancelled = shop.cancel(&placed.order_id, "changed my mind").await.unwrap();

    assert_eq!((cancelled.status(), cancelled.version), (OrderStatus::Cancelled, 3));
    assert_eq!((&*cancelled.status_reason, &*cancelled.status_note), (reasons::CUSTOMER_REQUEST, "changed my mind"));
    assert_eq!(cancelled.lines, placed.lines);
    shop.stock_becomes(&sku, 4, 0).await;
    settled(&platform, &placed.order_id).await;

    let again = shop.cancel(&placed.order_id, "another note").await.unwrap();
    assert_eq!(again, cancelled, "a repeated cancellation changes nothing");
    assert_eq!(shop.order(&placed.order_id).await, cancelled);
    let refusal = Refusal::of(&shop.fulfil(&placed.order_id).await.unwrap_err());
    assert_forbidden(&refusal, &placed.order_id, "CANCELLED");
    audit::orders(&platform, Of::Customer(&shop.customer), seconds(10)).await;
    audit::stock(&platform).await;
}

#[tokio::test]
async fn fulfilled_order_takes_its_stock_out_and_can_not_be_cancelled() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("chair", 6, (49, 500_000_000)).await;
    let placed = shop.place(&[(&sku, 2)]).await;

    let fulfilled = shop.fulfil(&placed.order_id).await.unwrap();

    assert_eq!((fulfilled.status(), fulfilled.version), (OrderStatus::Fulfilled, 3));
    assert_eq!(fulfilled.total, Some(money("EUR", 99, 0)));
    shop.stock_becomes(&sku, 4, 0).await;
    settled(&platform, &placed.order_id).await;

    let again = shop.fulfil(&placed.order_id).await.unwrap();
    assert_eq!(again, fulfilled, "a repeated fulfilment changes nothing");
    let refusal = Refusal::of(&shop.cancel(&placed.order_id, "").await.unwrap_err());
    assert_forbidden(&refusal, &placed.order_id, "FULFILLED");
    assert_eq!(shop.order(&placed.order_id).await, fulfilled);
    audit::orders(&platform, Of::Customer(&shop.customer), seconds(10)).await;
    audit::stock(&platform).await;
}

fn assert_forbidden(refusal: &Refusal, order_id: &str, status: &str) {
    assert_eq!((refusal.code, &*refusal.reason), (Code::FailedPrecondition, reasons::ORDER_STATE));
    assert_eq!(refusal.domain, reasons::ORDERS_DOMAIN);
    assert_eq!(refusal.metadata.get("status").map(String::as_str), Some(status));
    assert_eq!(refusal.preconditions, [(reasons::ORDER_STATE.to_owned(), order_id.to_owned())]);
    assert!(!refusal.retry, "repeating the call does not help");
}

#[tokio::test]
async fn order_that_can_not_be_had_is_rejected_with_what_is_missing_and_holds_nothing() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let plenty = shop.stocked("plenty", 100, (1, 0)).await;
    let scarce = shop.stocked("scarce", 2, (1, 0)).await;
    let dollars = shop.stocked_in("USD", "dollars", 100, (1, 0)).await;
    let dear = shop.stocked("dear", 10_000, (1_000_000_000, 0)).await;
    let unknown = shop.sku("unknown");

    for (lines, reason, shortages) in [
        (vec![(&*plenty, 1), (&*scarce, 3)], reasons::OUT_OF_STOCK, vec![(&*scarce, 3, 2)]),
        (vec![(&*plenty, 1), (&*unknown, 7)], reasons::UNKNOWN_SKU, vec![(&*unknown, 7, 0)]),
        (vec![(&*plenty, 1), (&*dollars, 1)], reasons::MIXED_CURRENCY, vec![]),
        (vec![(&*dear, 1_001)], reasons::AMOUNT_TOO_LARGE, vec![]),
    ] {
        let order = shop.place(&lines).await;
        assert_eq!((order.status(), &*order.status_reason), (OrderStatus::Rejected, reason));
        assert_eq!((order.version, &order.total), (2, &None));
        let found: Vec<_> =
            order.shortages.iter().map(|short| (&*short.sku, short.requested, short.available)).collect();
        assert_eq!(found, shortages, "{reason}");
        assert_eq!(shop.order(&order.order_id).await, order);
        let refusal = Refusal::of(&shop.cancel(&order.order_id, "").await.unwrap_err());
        assert_forbidden(&refusal, &order.order_id, "REJECTED");
        settled(&platform, &order.order_id).await;
    }
    for sku in [&plenty, &scarce, &dollars, &dear] {
        assert_eq!(shop.item(sku).await.reserved, 0, "{sku} is held for a rejected order");
    }
    let found = audit::orders(&platform, Of::Customer(&shop.customer), seconds(10)).await;
    assert_eq!((found.orders, found.events), (4, 12));
}
