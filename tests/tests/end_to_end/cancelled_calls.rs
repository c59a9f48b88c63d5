//! Callers who give up: whatever they interrupt is either done or not, and leaves nothing open in the database.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::ensure;
use futures::future::join_all;
use proto::inventory::v1::{ReserveLine, ReserveRequest, reserve_response};
use proto::orders::v1::{CancelOrderRequest, GetOrderRequest, OrderStatus};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use rand::{RngExt as _, SeedableRng as _};
use sqlx::PgPool;
use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tests::{audit, chance};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::support::faults;

const CALLERS: usize = 50;
const CALLS_OF_EACH: usize = 200;
const CALLS: usize = CALLERS * CALLS_OF_EACH;

/// What became of a call.
enum Outcome {
    GivenUp,
    Answered,
    Placed { request_id: String, order_id: String },
}

/// A call, and when its caller loses patience.
struct Call {
    what: What,
    patience: Duration,
    /// By a deadline that the services see; otherwise the caller is just gone.
    by_deadline: bool,
}

enum What {
    Place {
        sku: String,
        request_id: String,
    },
    Cancel {
        order_id: String,
    },
    Get {
        order_id: String,
    },
    /// What an order's placement has reserved, once more.
    Reserve {
        request: ReserveRequest,
    },
}

impl Call {
    fn random(chance: &mut StdRng, skus: &[String], reserved: &[ReserveRequest], longest: Duration) -> Self {
        let request = reserved.choose(chance).expect("there are orders").clone();
        let order_id = request.order_id.clone();
        let what = match chance.random_range(0..8) {
            0..4 => What::Place {
                sku: skus.choose(chance).expect("there are SKUs").clone(),
                request_id: Uuid::new_v4().to_string(),
            },
            4 => What::Cancel { order_id },
            5 => What::Get { order_id },
            _ => What::Reserve { request },
        };
        let patience = chance.random_range(Duration::ZERO..longest);
        Self { what, patience, by_deadline: chance.random_bool(0.5) }
    }

    async fn make(self, mut shop: Shop) -> Outcome {
        let (patience, by_deadline) = (self.patience, self.by_deadline);
        let call = async {
            match self.what {
                What::Place { sku, request_id } => {
                    let mut message = shop.request(&[(&sku, 1)]);
                    message.request_id.clone_from(&request_id);
                    let placed = shop.orders.place_order(timed(message, patience, by_deadline)).await?;
                    let order_id = placed.into_inner().order.expect("an answer has an order").order_id;
                    Ok(Outcome::Placed { request_id, order_id })
                }
                What::Cancel { order_id } => {
                    let message = CancelOrderRequest { order_id, note: String::new() };
                    shop.orders.cancel_order(timed(message, patience, by_deadline)).await?;
                    Ok(Outcome::Answered)
                }
                What::Get { order_id } => {
                    let message = GetOrderRequest { order_id };
                    shop.orders.get_order(timed(message, patience, by_deadline)).await?;
                    Ok(Outcome::Answered)
                }
                What::Reserve { request } => {
                    shop.inventory.reserve(timed(request, patience, by_deadline)).await?;
                    Ok::<_, Status>(Outcome::Answered)
                }
            }
        };
        if by_deadline {
            return call.await.unwrap_or_else(|status| {
                assert!(matches!(status.code(), Code::DeadlineExceeded | Code::Cancelled), "{status:?}");
                Outcome::GivenUp
            });
        }
        match tokio::time::timeout(patience, call).await {
            Ok(answer) => answer.expect("no call fails by itself"),
            Err(_) => Outcome::GivenUp,
        }
    }
}

fn timed<T>(message: T, patience: Duration, by_deadline: bool) -> Request<T> {
    let mut request = Request::new(message);
    if by_deadline {
        request.set_timeout(patience);
    }
    request
}

/// Waits until a service has noticed that nobody waits for anything any more.
async fn nothing_is_answered(service: &Service) {
    eventually(seconds(10), async || {
        let active = service.metrics().await.sum("rpc_server_active_requests", &[]);
        ensure!(active == 0.0, "{active} calls are still being answered");
        Ok(())
    })
    .await;
}

/// Waits until every transaction that is open now has ended: soon, and not because the server's own limit for sessions
/// that forgot theirs (10 s) has ended it.
async fn open_transactions_end(database: &PgPool) {
    // Whoever is in a transaction says so by process id and the transaction's begin.
    let open: Vec<String> = sqlx::query_scalar(
        "select pid || ' ' || xact_start from pg_stat_activity
         where datname = current_database() and xact_start is not null and pid <> pg_backend_pid()",
    )
    .fetch_all(database)
    .await
    .expect("the database answers");
    eventually(seconds(5), async || {
        let left: Vec<String> = sqlx::query_scalar(
            "select format('%s: %s for %s after %s', application_name, state, clock_timestamp() - state_change, query)
             from pg_stat_activity
             where datname = current_database() and pid || ' ' || xact_start = any($1)",
        )
        .bind(&open)
        .fetch_all(database)
        .await?;
        ensure!(left.is_empty(), "transactions are still open: {left:#?}");
        Ok(())
    })
    .await;
}

/// Orders that have their stock, as they were reserved.
async fn confirmed(shop: &Shop, skus: &[String]) -> Vec<ReserveRequest> {
    let place = |number: usize| {
        let (mut shop, sku) = (shop.clone(), &skus[number % skus.len()]);
        async move {
            let order = shop.place(&[(sku, 1)]).await;
            let order = shop.becomes(&order.order_id, OrderStatus::Confirmed, 20).await;
            let lines = vec![ReserveLine { sku: sku.clone(), quantity: 1 }];
            ReserveRequest { order_id: order.order_id, lines }
        }
    };
    join_all((0..CALLERS).map(place)).await
}

/// Calls that nobody interrupts.
async fn next_calls_work(shop: &Shop, skus: &[String]) {
    let reserved = confirmed(shop, skus).await;
    let calls = reserved.into_iter().map(|request| {
        let mut shop = shop.clone();
        async move {
            let again = shop.inventory.reserve(request.clone()).await.expect("a repetition").into_inner();
            assert!(matches!(again.outcome, Some(reserve_response::Outcome::Reservation(_))), "{again:?}");
            let cancelled = shop.cancel(&request.order_id, "").await.expect("a confirmed order can be cancelled");
            assert_eq!(shop.order(&request.order_id).await, cancelled);
        }
    });
    join_all(calls).await;
}

/// What the server has logged about a BEGIN inside somebody's transaction, or a COMMIT outside of any.
fn strange_transactions(platform: &Platform) -> Vec<String> {
    let log = platform.postgres_log();
    log.lines().filter(|line| line.contains("transaction in progress")).map(str::to_owned).collect()
}

#[tokio::test]
async fn ten_thousand_cancelled_calls_leave_nothing_open_and_no_half_order() {
    let platform = faults().await;
    let mut chance = chance::seeded();
    let mut shop = platform.shop();
    let mut skus = Vec::new();
    for name in ["pen", "ink", "nib", "pad"] {
        skus.push(shop.stocked(name, 1_000_000, (1, 0)).await);
    }
    let dead_letters = audit::dead_letters::count(&platform).await;
    let reserved = confirmed(&shop, &skus).await;
    // Callers give up at every moment of a call, however fast this machine is.
    let begun = Instant::now();
    next_calls_work(&shop, &skus).await;
    let longest_patience = begun.elapsed() / 3;
    let before = strange_transactions(&platform).len();

    let callers = (0..CALLERS).map(|_| {
        let mut chance = StdRng::from_rng(&mut chance);
        // Connections of its own: a server closes one on which more than a few calls are taken back before it sees them.
        let shop = Shop { orders: platform.orders.orders(), inventory: platform.inventory.inventory(), ..shop.clone() };
        let (skus, reserved) = (&skus, &reserved);
        async move {
            let mut outcomes = Vec::new();
            for _ in 0..CALLS_OF_EACH {
                outcomes.push(Call::random(&mut chance, skus, reserved, longest_patience).make(shop.clone()).await);
            }
            outcomes
        }
    });
    let outcomes: Vec<Outcome> = join_all(callers).await.into_iter().flatten().collect();

    for service in [&platform.orders, &platform.inventory] {
        nothing_is_answered(service).await;
    }
    let (orders, inventory) = (platform.database(Part::Orders), platform.database(Part::Inventory));
    tokio::join!(open_transactions_end(&orders), open_transactions_end(&inventory));
    next_calls_work(&shop, &skus).await;
    assert_eq!(strange_transactions(&platform)[before..], [""; 0]);
    let given_up = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::GivenUp)).count();
    let placed = outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Placed { request_id, order_id } => Some((request_id.clone(), order_id.clone())),
        Outcome::GivenUp | Outcome::Answered => None,
    });
    let placed = BTreeMap::from_iter(placed);
    let acknowledged = placed.len();
    eprintln!(
        "{given_up} of {CALLS} calls were given up within {longest_patience:?}; {acknowledged} orders acknowledged"
    );
    assert!(CALLS - given_up > CALLS / 100 && given_up > CALLS / 10 && acknowledged > 0, "calls end in both ways");
    audit::whole(&platform, seconds(60)).await;
    assert_eq!(audit::dead_letters::count(&platform).await, dead_letters, "no event is given up");
    let rows: Vec<(String, String)> = sqlx::query_as(
        "select request_id, order_id::text from orders where customer_id = $1 and request_id is not null",
    )
    .bind(&shop.customer)
    .fetch_all(&orders)
    .await
    .unwrap();
    let there = BTreeMap::from_iter(rows);
    for (request_id, order_id) in &placed {
        assert_eq!(there.get(request_id), Some(order_id), "an acknowledged order is there");
    }
}
