//! Commands for one order that meet in one transaction: each is answered as if they had come one after the other.
//!
//! Whether they have met is seen afterwards; where a slow machine took too long to send them, the round is repeated.

use futures::future::join_all;
use proto::inventory::v1::{
    GetReservationRequest, Reservation, ReservationStatus, ReserveLine, ReserveRequest, reserve_response,
};
use proto::orders::v1::{Order, OrderStatus, PlaceOrderRequest};
use proto::reasons;
use rand::RngExt as _;
use tests::refusal::Refusal;
use tests::service::Part;
use tests::shop::Shop;
use tests::waiting::seconds;
use tests::{audit, chance, patience};
use tonic::{Code, Request};
use uuid::Uuid;

use crate::one_writer::{
    CANCEL, FULFIL, ORDERS, PLACE, Pair, RESERVE, Standstill, cancel_all, count, customer_of, durable, place_all,
    reserve_answers, reserve_is_answered, stop_consumers, transactions,
};
use crate::support::faults;

const ROUNDS: usize = 5;

fn assert_lost_to(winner: &Order, refusal: &Refusal) {
    assert_eq!((refusal.code, &*refusal.reason), (Code::FailedPrecondition, reasons::ORDER_STATE));
    let status = winner.status().as_str_name().strip_prefix("ORDER_STATUS_");
    assert_eq!(refusal.metadata.get("status").map(String::as_str), status);
}

#[tokio::test]
async fn cancel_and_fulfil_in_one_batch_have_one_winner_and_a_loser_who_is_told_so() {
    let platform = faults().await;
    let pair = Pair::start(&platform).await;
    let mut chance = chance::seeded();
    let mut shop = pair.shop(&platform);
    let sku = shop.stocked("twin", 10_000, (1, 0)).await;
    let mut have_met = false;
    for _ in 0..ROUNDS {
        let mut placed = join_all(place_all(&shop, &sku)).await.into_iter().map(Result::unwrap);
        let victim = placed.next().unwrap().order_id;
        let orders: Vec<String> = placed.map(|order| order.order_id).collect();
        for order_id in orders.iter().chain([&victim]) {
            shop.becomes(order_id, OrderStatus::Confirmed, 10).await;
        }
        let standstill = Standstill::of_orders(&platform, &shop, &victim).await;
        let before = transactions(&pair.orders, "write_orders").await;
        let calls = orders.iter().map(|order_id| {
            let (canceller, fulfiller) = (shop.clone(), shop.clone());
            let (first, second) = (order_id.clone(), order_id.clone());
            let cancel = async move { patience::cancel(&canceller, &first).await };
            let fulfil = async move { patience::fulfil(&fulfiller, &second).await };
            // Calls are sent in the order in which their tasks are made.
            let (cancel, fulfil) = if chance.random_bool(0.5) {
                let cancel = tokio::spawn(cancel);
                (cancel, tokio::spawn(fulfil))
            } else {
                let fulfil = tokio::spawn(fulfil);
                (tokio::spawn(cancel), fulfil)
            };
            async { (cancel.await.unwrap(), fulfil.await.unwrap()) }
        });
        let calls: Vec<_> = calls.collect();
        standstill.gathers(&pair.orders, CANCEL, orders.len() + 1).await;
        standstill.gathers(&pair.orders, FULFIL, orders.len()).await;
        standstill.end().await;
        for (order_id, answers) in orders.iter().zip(join_all(calls).await) {
            let (winner, loser) = match answers {
                (Ok(cancelled), Err(fulfilled)) => (cancelled, fulfilled),
                (Err(cancelled), Ok(fulfilled)) => (fulfilled, cancelled),
                both => panic!("of a cancellation and a fulfilment one succeeds: {both:?}"),
            };
            assert_lost_to(&winner, &loser);
            assert_eq!((winner.version, shop.order(order_id).await), (3, winner));
        }
        // The one that stood still, and everything behind it.
        have_met = transactions(&pair.orders, "write_orders").await - before <= 2.0;
        if have_met {
            break;
        }
    }
    assert!(have_met, "they never were in one batch");
    pair.stop().await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn placements_with_one_key_in_one_batch_make_one_order_and_refuse_other_bodies() {
    let platform = faults().await;
    let pair = Pair::start(&platform).await;
    let mut shop = pair.shop(&platform);
    let sku = shop.stocked("key", 10_000, (1, 0)).await;
    let mut have_met = false;
    for _ in 0..ROUNDS {
        let victim = shop.place(&[(&sku, 1)]).await;
        shop.becomes(&victim.order_id, OrderStatus::Confirmed, 10).await;
        let standstill = Standstill::of_orders(&platform, &shop, &victim.order_id).await;
        // Two bodies for each key, each sent twice.
        let calls = (0..ORDERS / 2).map(|_| {
            let request_id = Uuid::new_v4().to_string();
            [1, 2, 1, 2].map(|quantity| {
                let request = PlaceOrderRequest { request_id: request_id.clone(), ..shop.request(&[(&sku, quantity)]) };
                let (mut client, mut request) = (shop.orders.clone(), Request::new(request));
                request.set_timeout(seconds(30));
                tokio::spawn(async move { (quantity, client.place_order(request).await) })
            })
        });
        let calls: Vec<_> = calls.collect();
        standstill.gathers(&pair.orders, PLACE, 2 * ORDERS).await;
        standstill.end().await;
        let mut placed = Vec::new();
        for calls in calls {
            let answers = join_all(calls).await.into_iter().map(Result::unwrap);
            let (made, refused): (Vec<_>, Vec<_>) = answers.partition(|(_, answer)| answer.is_ok());
            let made: Vec<_> =
                made.into_iter().map(|(_, answer)| answer.unwrap().into_inner().order.unwrap()).collect();
            assert_eq!((made.len(), made[0].order_id == made[1].order_id), (2, true), "{made:#?}");
            for (quantity, answer) in refused {
                assert_ne!(quantity, made[0].lines[0].quantity);
                let refusal = Refusal::of(&answer.unwrap_err());
                assert_eq!((refusal.code, &*refusal.reason), (Code::AlreadyExists, reasons::REQUEST_ID_REUSED));
            }
            placed.push(made[0].order_id.clone());
        }
        // A batch has one time for all of it.
        let together: i64 = sqlx::query_scalar(
            "select count(distinct create_time) from orders where order_id = any($1::text[]::uuid[])",
        )
        .bind(&placed)
        .fetch_one(&platform.database(Part::Orders))
        .await
        .unwrap();
        have_met = together == 1;
        if have_met {
            break;
        }
    }
    assert!(have_met, "they never were in one batch");
    pair.stop().await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn cancel_and_confirmation_in_one_batch_are_both_told_the_truth() {
    let platform = faults().await;
    let pair = Pair::start(&platform).await;
    let mut shop = pair.shop(&platform);
    let (sku, gate_sku) = (shop.stocked("late", 10_000, (1, 0)).await, shop.stocked("gate", 100, (1, 0)).await);
    let database = platform.database(Part::Orders);
    let mut have_met = false;
    for round in 0..ROUNDS {
        let mut buyer = customer_of(&shop, round);
        let mut other = customer_of(&shop, ROUNDS);
        let victim = other.place(&[(&gate_sku, 1)]).await.order_id;
        let consumers = stop_consumers(&platform, Part::Orders).await;
        let stock = Standstill::of_stock(&platform, &other, &gate_sku).await;
        let answered = reserve_answers(&pair.orders).await;
        let placements = place_all(&buyer, &sku);
        let orders = durable(&buyer).await;
        // Behind the writer of orders gather cancellations, confirmations, and cancellations again.
        let standstill = Standstill::of_orders(&platform, &other, &victim).await;
        let (early, late) = orders.split_at(ORDERS / 2);
        let mut cancellations = cancel_all(&buyer, early);
        standstill.gathers(&pair.orders, CANCEL, early.len() + 1).await;
        stock.end().await;
        reserve_is_answered(&pair.orders, answered + count(ORDERS + 1)).await;
        cancellations.extend(cancel_all(&buyer, late));
        standstill.gathers(&pair.orders, CANCEL, ORDERS + 1).await;
        standstill.end().await;
        consumers.open().await;
        for (order_id, cancelled) in orders.iter().zip(join_all(cancellations).await) {
            let cancelled = cancelled.unwrap();
            assert_eq!(cancelled.status(), OrderStatus::Cancelled);
            assert_eq!(buyer.order(order_id).await, cancelled, "nothing follows a cancellation");
        }
        for placed in join_all(placements).await {
            let placed = placed.unwrap();
            let (status, last) = (placed.status(), buyer.order(&placed.order_id).await);
            match status {
                OrderStatus::Cancelled => assert_eq!(placed, last),
                OrderStatus::Confirmed => assert_eq!((placed.version, last.version), (2, 3)),
                other => assert_eq!(other, OrderStatus::Pending, "the time was up"),
            }
        }
        // A batch has one time for all of it.
        let (before, after): (i64, i64) = sqlx::query_as(
            "select count(*) filter (where decide_time is null), count(*) filter (where decide_time = close_time)
             from orders where order_id = any($1::text[]::uuid[])",
        )
        .bind(&orders)
        .fetch_one(&database)
        .await
        .unwrap();
        eprintln!("of {ORDERS} orders {before} were cancelled before and {after} together with their confirmation");
        have_met = before > 0 && after > 0;
        if have_met {
            break;
        }
    }
    assert!(have_met, "they never were in one batch");
    shop.stock_becomes(&sku, 10_000, 0).await;
    pair.stop().await;
    audit::whole(&platform, seconds(30)).await;
}

#[tokio::test]
async fn equal_reserves_in_one_batch_get_one_answer_and_other_lines_are_refused() {
    let platform = faults().await;
    let pair = Pair::start(&platform).await;
    let mut shop = pair.shop(&platform);
    let (sku, gate_sku) = (shop.stocked("once", 10_000, (1, 0)).await, shop.stocked("gate", 100, (1, 0)).await);
    let mut have_met = false;
    let mut held = 0;
    for round in 0..ROUNDS {
        let mut buyer = customer_of(&shop, round);
        let consumers = stop_consumers(&platform, Part::Inventory).await;
        let standstill = Standstill::of_stock(&platform, &customer_of(&shop, ROUNDS), &gate_sku).await;
        let before = transactions(&pair.inventory, "write_stock").await;
        // Each placement sends the first Reserve of its order.
        let placements = place_all(&buyer, &sku);
        let orders = durable(&buyer).await;
        standstill.gathers(&pair.inventory, RESERVE, ORDERS + 1).await;
        let (equal, other) = orders.split_at(ORDERS / 2);
        let reserve = |(order_id, quantity): (&String, u32)| {
            let lines = vec![ReserveLine { sku: sku.clone(), quantity }];
            let request = ReserveRequest { order_id: order_id.clone(), lines };
            let mut client = buyer.inventory.clone();
            let mut request = Request::new(request);
            request.set_timeout(seconds(30));
            tokio::spawn(async move { client.reserve(request).await })
        };
        let equals: Vec<_> = equal.iter().map(|order_id| reserve((order_id, 1))).collect();
        let others: Vec<_> = other.iter().map(|order_id| reserve((order_id, 2))).collect();
        standstill.gathers(&pair.inventory, RESERVE, 2 * ORDERS + 1).await;
        standstill.end().await;
        consumers.open().await;
        for (order_id, answer) in equal.iter().zip(join_all(equals).await) {
            let answer = answer.unwrap().expect("a repetition").into_inner().outcome;
            let Some(reserve_response::Outcome::Reservation(again)) = answer else { panic!("{answer:?}") };
            assert_eq!(again, reservation(&buyer, order_id).await);
        }
        for (order_id, answer) in other.iter().zip(join_all(others).await) {
            let refusal = Refusal::of(&answer.unwrap().expect_err("other lines"));
            assert_eq!((refusal.code, &*refusal.reason), (Code::AlreadyExists, reasons::RESERVATION_MISMATCH));
            assert_eq!(refusal.domain, reasons::INVENTORY_DOMAIN);
            let kept = reservation(&buyer, order_id).await;
            assert_eq!((kept.version, kept.lines[0].quantity), (1, 1), "{kept:?}");
        }
        for placed in join_all(placements).await {
            let order = buyer.becomes(&placed.unwrap().order_id, OrderStatus::Confirmed, 10).await;
            assert_eq!(reservation(&buyer, &order.order_id).await.status(), ReservationStatus::Held);
        }
        held += i64::try_from(ORDERS).unwrap();
        have_met = transactions(&pair.inventory, "write_stock").await - before <= 2.0;
        if have_met {
            break;
        }
    }
    assert!(have_met, "they never were in one batch");
    shop.stock_becomes(&sku, 10_000, held).await;
    pair.stop().await;
    audit::whole(&platform, seconds(30)).await;
}

async fn reservation(shop: &Shop, order_id: &str) -> Reservation {
    let request = GetReservationRequest { order_id: order_id.to_owned() };
    let answer = shop.inventory.clone().get_reservation(request).await.expect("the reservation is there");
    answer.into_inner().reservation.expect("an answer has a reservation")
}
