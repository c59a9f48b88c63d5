//! Lists are paged through while others write: nothing that was there at the first page is repeated or left out.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use proto::inventory::v1::{ListStockRequest, StockItem};
use proto::orders::v1::{ListOrdersRequest, Order, OrderStatus};
use sqlx::PgPool;
use tests::service::Part;
use tests::shop::Shop;
use uuid::Uuid;

use crate::support::calm;

const PAGE: i32 = 3;

/// All pages, from the first to the last.
async fn pages_of_orders(shop: &mut Shop, first: ListOrdersRequest) -> Vec<Vec<Order>> {
    let mut pages = Vec::new();
    let mut request = first;
    loop {
        let page = shop.orders.list_orders(request.clone()).await.unwrap().into_inner();
        assert!(i32::try_from(page.orders.len()).unwrap() <= request.page_size);
        pages.push(page.orders);
        if page.next_page_token.is_empty() {
            return pages;
        }
        request.page_token = page.next_page_token;
    }
}

async fn all_orders(shop: &mut Shop, first: ListOrdersRequest) -> Vec<Order> {
    pages_of_orders(shop, first).await.concat()
}

/// Puts orders into the table that were placed and rejected just now; no event tells of them.
async fn insert_rejected(database: &PgPool, customer: &str, count: usize) {
    let ids: Vec<Uuid> = (0..count).map(|_| Uuid::now_v7()).collect();
    sqlx::query(
        "insert into orders (order_id, customer_id, fingerprint, status, version, lines, create_time, decide_time,
                             reject_reason)
         select id, $2, $3, 3, 2, '[]', now(), now(), 'OUT_OF_STOCK' from unnest($1) as id",
    )
    .bind(ids)
    .bind(customer)
    .bind([0_u8; 32].as_slice())
    .execute(database)
    .await
    .unwrap();
}

async fn all_stock(shop: &mut Shop, page_size: i32) -> Vec<StockItem> {
    let mut all = Vec::new();
    let mut request = ListStockRequest { page_size, page_token: String::new() };
    loop {
        let page = shop.inventory.list_stock(request.clone()).await.unwrap().into_inner();
        all.extend(page.items);
        if page.next_page_token.is_empty() {
            return all;
        }
        request.page_token = page.next_page_token;
    }
}

#[tokio::test]
async fn orders_are_listed_newest_first_and_once_while_others_are_placed() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("pen", 1_000, (1, 0)).await;
    let mut placed = Vec::new();
    for number in 0..10 {
        let order = shop.place(&[(&sku, 1)]).await;
        if number % 3 == 0 {
            shop.cancel(&order.order_id, "").await.unwrap();
        }
        placed.push(order.order_id);
    }

    let done = Arc::new(AtomicBool::new(false));
    let others = tokio::spawn({
        let (mut shop, sku, done) = (shop.clone(), sku.clone(), Arc::clone(&done));
        async move {
            let mut count = 0;
            while !done.load(Ordering::Relaxed) {
                shop.place(&[(&sku, 1)]).await;
                count += 1;
            }
            count
        }
    });
    let list = ListOrdersRequest { customer_id: shop.customer.clone(), page_size: PAGE, ..Default::default() };
    let mut lists = Vec::new();
    for _ in 0..5 {
        lists.push(all_orders(&mut shop, list.clone()).await);
    }
    done.store(true, Ordering::Relaxed);
    assert!(others.await.unwrap() > 0);

    placed.reverse();
    for list in lists {
        let ids: Vec<String> = list.iter().map(|order| order.order_id.clone()).collect();
        assert!(ids.is_sorted_by(|newer, older| newer > older), "newest first, each once: {ids:?}");
        // Later ones come before these, none between them.
        assert_eq!(ids[ids.len() - placed.len()..], placed);
        assert!(list.iter().all(|order| order.customer_id == shop.customer));
    }

    let status = OrderStatus::Cancelled.into();
    let cancelled = all_orders(&mut shop, ListOrdersRequest { status, ..list.clone() }).await;
    assert_eq!(cancelled.len(), 4);
    assert_eq!(shop.order(&cancelled[0].order_id).await, cancelled[0], "a list has whole orders");
    let nobody = ListOrdersRequest { customer_id: format!("nobody-{}", shop.mark), ..list.clone() };
    assert!(all_orders(&mut shop, nobody).await.is_empty());
    let everybody = ListOrdersRequest { customer_id: String::new(), page_size: 500, ..list };
    let ids: BTreeSet<String> =
        all_orders(&mut shop, everybody).await.into_iter().map(|order| order.order_id).collect();
    assert!(placed.iter().all(|id| ids.contains(id)));
}

#[tokio::test]
async fn rare_status_is_found_on_short_pages_that_look_at_a_bounded_number_of_orders() {
    let platform = calm().await;
    let database = platform.database(Part::Orders);
    let mut shop = platform.shop();
    let sku = shop.stocked("quill", 10, (1, 0)).await;
    let mut cancelled = Vec::new();
    // From the newest they are numbers 1, 15,000 (the last one that the third page looks at) and 15,001.
    for others in [0, 14_998, 0] {
        let order = shop.place(&[(&sku, 1)]).await;
        cancelled.insert(0, shop.cancel(&order.order_id, "").await.unwrap());
        insert_rejected(&database, &shop.customer, others).await;
    }

    let status = OrderStatus::Cancelled.into();
    let mine = ListOrdersRequest { customer_id: shop.customer.clone(), status, page_size: PAGE, ..Default::default() };
    let pages = pages_of_orders(&mut shop, mine.clone()).await;
    assert_eq!(pages.iter().map(Vec::len).collect::<Vec<_>>(), [1, 0, 1, 1]);
    assert_eq!(pages.concat(), cancelled);

    let everybodys = ListOrdersRequest { customer_id: String::new(), page_size: 500, ..mine };
    let pages = pages_of_orders(&mut shop, everybodys).await;
    assert!(pages.len() >= 4 && pages[0].len() < 500, "the first page looks at 5,000 orders only");
    let all = pages.concat();
    assert!(all.is_sorted_by(|newer, older| newer.order_id > older.order_id), "newest first, each once");
    assert!(all.iter().all(|order| order.status() == OrderStatus::Cancelled));
    let found: Vec<Order> = all.into_iter().filter(|order| order.customer_id == shop.customer).collect();
    assert_eq!(found, cancelled);

    // Whoever lists everybody's orders need not read these.
    let remove = sqlx::query("delete from orders where customer_id = $1 and status = 3").bind(&shop.customer);
    assert_eq!(remove.execute(&database).await.unwrap().rows_affected(), 14_998);
}

#[tokio::test]
async fn page_that_ends_exactly_with_the_list_is_the_last() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.stocked("ink", 1_000, (1, 0)).await;
    for _ in 0..PAGE {
        shop.place(&[(&sku, 1)]).await;
    }
    let request = ListOrdersRequest { customer_id: shop.customer.clone(), page_size: PAGE, ..Default::default() };
    let page = shop.orders.list_orders(request).await.unwrap().into_inner();
    assert_eq!((page.orders.len(), &*page.next_page_token), (3, ""));
}

#[tokio::test]
async fn stock_is_listed_by_sku_and_once_while_items_are_added() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let mut mine = BTreeSet::new();
    for name in ["b", "a", "D", "c", "_x", "E.1", "0"] {
        mine.insert(shop.stocked(name, 1, (1, 0)).await);
    }
    let mut other = platform.shop();
    let adding = tokio::spawn(async move {
        for name in ["aa", "bb", "cc", "Z", "zz"] {
            other.stocked(name, 1, (1, 0)).await;
        }
    });
    for _ in 0..3 {
        let items = all_stock(&mut shop, 2).await;
        let skus: Vec<&str> = items.iter().map(|item| &*item.sku).collect();
        assert!(skus.is_sorted_by(|one, next| one.as_bytes() < next.as_bytes()), "by SKU, each once: {skus:?}");
        let found: BTreeSet<String> =
            skus.iter().filter(|sku| sku.ends_with(&shop.mark)).map(|sku| (*sku).to_owned()).collect();
        assert_eq!(found, mine);
    }
    adding.await.unwrap();
}
