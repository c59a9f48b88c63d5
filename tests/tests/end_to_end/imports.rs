//! Stock comes in through ImportStock, each row once.

use futures::future::join_all;
use proto::inventory::v1::{ImportStockRequest, ImportStockResponse};
use tests::audit;
use tests::shop::{Shop, money};
use tests::waiting::{eventually, seconds};
use tokio_stream::StreamExt as _;
use uuid::Uuid;

use crate::support::calm;

/// Rows of one import, numbered from 1.
fn rows(skus: &[String], quantity: i64) -> Vec<ImportStockRequest> {
    let import_id = Uuid::new_v4().to_string();
    let row = |(index, sku): (usize, &String)| ImportStockRequest {
        import_id: import_id.clone(),
        row: index as u64 + 1,
        sku: sku.clone(),
        name: format!("number {index}"),
        unit_price: Some(money("EUR", 2, 0)),
        quantity,
    };
    skus.iter().enumerate().map(row).collect()
}

fn counts(response: &ImportStockResponse) -> [u64; 4] {
    [response.rows_received, response.rows_applied, response.rows_already_applied, response.rows_rejected]
}

async fn on_hand(shop: &mut Shop, skus: &[String]) -> i64 {
    let mut sum = 0;
    for sku in skus {
        sum += shop.item(sku).await.on_hand;
    }
    sum
}

#[tokio::test]
async fn import_that_is_sent_again_applies_nothing() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let skus: Vec<String> = (0..5).map(|number| shop.sku(&format!("row-{number}"))).collect();
    let rows = rows(&skus, 7);
    assert_eq!(counts(&shop.import(rows.clone()).await), [5, 5, 0, 0]);
    assert_eq!(counts(&shop.import(rows.clone()).await), [5, 0, 5, 0]);
    assert_eq!(on_hand(&mut shop, &skus).await, 35);

    let mut twice = rows;
    for row in &mut twice {
        row.import_id = format!("{}-twice", shop.mark);
    }
    twice.extend(twice.clone());
    assert_eq!(counts(&shop.import(twice).await), [10, 5, 5, 0], "a row that comes twice in one import counts once");
    assert_eq!(on_hand(&mut shop, &skus).await, 70);
    let item = shop.item(&skus[3]).await;
    assert_eq!((&*item.name, item.unit_price, item.available), ("number 3", Some(money("EUR", 2, 0)), 14));
    audit::stock(&platform).await;
}

#[tokio::test]
async fn two_streams_with_one_import_id_apply_each_row_once_in_total() {
    let platform = calm().await;
    let shop = platform.shop();
    let skus: Vec<String> = (0..450).map(|number| shop.sku(&format!("s{number}"))).collect();
    let rows = rows(&skus, 3);
    let streams = (0..4).map(|_| {
        let (mut shop, rows) = (shop.clone(), rows.clone());
        tokio::spawn(async move { shop.import(rows).await })
    });
    let mut applied = 0;
    for response in join_all(streams).await {
        let [received, now, before, rejected] = counts(&response.unwrap());
        assert_eq!((received, now + before, rejected), (450, 450, 0));
        applied += now;
    }
    assert_eq!(applied, 450, "each row is told as applied to one of the streams");
    assert_eq!(on_hand(&mut shop.clone(), &skus[..20]).await, 60);
    audit::stock(&platform).await;
}

#[tokio::test]
async fn rows_of_one_sku_all_count_and_a_number_that_comes_twice_counts_once() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let sku = shop.sku("counted");
    // More than one chunk, so that the first row comes again in its own and in a later one.
    let mut rows = rows(&vec![sku.clone(); 250], 2);
    rows[0].quantity = 5;
    rows.insert(1, rows[0].clone());
    rows.push(rows[0].clone());
    assert_eq!(counts(&shop.import(rows).await), [252, 250, 2, 0]);
    let item = shop.item(&sku).await;
    assert_eq!((item.on_hand, &*item.name), (5 + 249 * 2, "number 249"));
    audit::stock(&platform).await;
}

#[tokio::test]
async fn what_is_kept_of_a_number_is_the_row_that_was_applied() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let (sku, other) = (shop.stocked("kept", 5, (1, 0)).await, shop.sku("never"));
    let mut rows = rows(&[sku.clone(), sku.clone(), other.clone(), sku.clone()], -2);
    // Numbers 1, 1, 2, 2: the first of each is refused.
    (rows[0].quantity, rows[1].row) = (-6, 1);
    (rows[2].row, rows[2].unit_price, rows[3].row) = (2, None, 2);
    let response = shop.import(rows).await;
    assert_eq!(counts(&response), [4, 2, 0, 2], "{response:?}");
    assert_eq!(shop.item(&sku).await.on_hand, 1);
    audit::stock(&platform).await;
}

#[tokio::test]
async fn import_goes_on_where_its_stream_broke() {
    let platform = calm().await;
    let mut shop = platform.shop();
    // More than one chunk, so that a part is committed when the stream breaks.
    let skus: Vec<String> = (0..500).map(|number| shop.sku(&format!("r{number}"))).collect();
    let rows = rows(&skus, 3);
    let database = platform.database(tests::service::Part::Inventory);
    let import_id = rows[0].import_id.clone();
    let applied = async || -> i64 {
        let counted = sqlx::query_scalar("select count(*) from imported_rows where import_id = $1").bind(&import_id);
        counted.fetch_one(&database).await.unwrap()
    };

    let mut client = shop.inventory.clone();
    let unfinished = tokio_stream::iter(rows[..450].to_vec()).chain(tokio_stream::pending());
    let call = tokio::spawn(async move { client.import_stock(unfinished).await });
    eventually(seconds(10), async || {
        anyhow::ensure!(applied().await >= 200, "no chunk is committed");
        Ok(())
    })
    .await;
    call.abort();
    assert!(call.await.unwrap_err().is_cancelled());

    let response = shop.import(rows).await;
    let [received, now, before, rejected] = counts(&response);
    assert_eq!((received, now + before, rejected), (500, 500, 0));
    assert!(before >= 200 && now >= 50, "{response:?}");
    assert_eq!(applied().await, 500);
    assert_eq!(on_hand(&mut shop, &skus[..20]).await, 60);
    audit::stock(&platform).await;
}

#[tokio::test]
async fn bad_rows_are_reported_and_left_out_and_the_others_applied() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let held = shop.stocked("held", 10, (1, 0)).await;
    shop.place(&[(&held, 6)]).await;
    let fresh = shop.sku("fresh");
    let import_id = Uuid::new_v4().to_string();
    let row = |row, sku: &str, quantity| ImportStockRequest {
        import_id: import_id.clone(),
        row,
        sku: sku.to_owned(),
        name: String::new(),
        unit_price: Some(money("EUR", 1, 0)),
        quantity,
    };
    let without_price = |row: ImportStockRequest| ImportStockRequest { unit_price: None, ..row };
    let rows = vec![
        row(1, &fresh, 5),
        row(2, "no sku", 5),
        without_price(row(3, &shop.sku("unpriced"), 5)),
        row(4, &held, -5),
        ImportStockRequest { unit_price: Some(money("euro", 1, 0)), ..row(5, &fresh, 1) },
        ImportStockRequest { import_id: "another".into(), ..row(6, &fresh, 1) },
        row(0, &fresh, 1),
        row(8, &fresh, i64::MAX),
        ImportStockRequest { name: "a\u{0}b".into(), ..row(9, &fresh, 1) },
        without_price(row(10, &held, -4)),
        row(11, &fresh, -6),
    ];
    let response = shop.import(rows).await;
    assert_eq!(counts(&response), [11, 2, 0, 9], "{response:?}");
    let mut refused: Vec<(u64, &str)> = response.errors.iter().map(|error| (error.row, &*error.reason)).collect();
    refused.sort_unstable();
    assert_eq!(
        refused,
        [
            (0, "INVALID_FIELD"),
            (2, "INVALID_FIELD"),
            (3, "UNIT_PRICE_REQUIRED"),
            (4, "BELOW_RESERVED"),
            (5, "INVALID_FIELD"),
            (6, "INVALID_FIELD"),
            (8, "INVALID_FIELD"),
            (9, "INVALID_FIELD"),
            (11, "BELOW_RESERVED"),
        ]
    );
    assert!(response.errors.iter().all(|error| !error.message.is_empty()));
    assert_eq!(shop.item(&fresh).await.on_hand, 5);
    let item = shop.item(&held).await;
    assert_eq!((item.on_hand, item.reserved, item.available), (6, 6, 0));

    // A row that was refused may come again, corrected.
    let corrected = shop.import(vec![row(1, &fresh, 5), row(11, &fresh, -5)]).await;
    assert_eq!(counts(&corrected), [2, 1, 1, 0]);
    assert_eq!(shop.item(&fresh).await.on_hand, 0);
    audit::stock(&platform).await;
}

#[tokio::test]
async fn only_the_first_hundred_bad_rows_are_described() {
    let platform = calm().await;
    let mut shop = platform.shop();
    let skus: Vec<String> = (0..150).map(|_| "not a sku".to_owned()).collect();
    let response = shop.import(rows(&skus, 1)).await;
    assert_eq!(counts(&response), [150, 0, 0, 150]);
    assert_eq!(response.errors.len(), 100);
    assert_eq!(counts(&shop.import(Vec::new()).await), [0, 0, 0, 0], "an import of nothing is nothing");
}
