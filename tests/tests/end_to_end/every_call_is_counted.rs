//! The server's count of calls is the truth: whatever was answered is in it under the code that the caller saw, and nothing
//! is in it that nobody sent.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::ensure;
use futures::StreamExt as _;
use futures::stream;
use proto::orders::v1::{CancelOrderRequest, FulfillOrderRequest, GetOrderRequest, PlaceOrderRequest};
use proto::reasons;
use rand::RngExt as _;
use rand::rngs::StdRng;
use tests::chance;
use tests::metrics::Metrics;
use tests::refusal::Refusal;
use tests::service::Service;
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tonic::{Code, Request, Status};
use uuid::Uuid;

use crate::support::faults;

const AT_ONCE: usize = 32;
const DURATION: &str = "rpc_server_call_duration_seconds";
const SERVICE: &str = "orders.v1.OrderService";

/// Calls by method and code.
type Calls = BTreeMap<(String, String), u64>;

/// A call of a mixed load; the order that some of them are about is cancelled already.
#[derive(Clone, Copy, Debug)]
enum Call {
    Place,
    PlaceNothing,
    PlaceOtherBodyWithUsedId,
    GetKnown,
    GetUnknown,
    CancelCancelled,
    FulfilCancelled,
}

const ALL: [Call; 7] = [
    Call::Place,
    Call::PlaceNothing,
    Call::PlaceOtherBodyWithUsedId,
    Call::GetKnown,
    Call::GetUnknown,
    Call::CancelCancelled,
    Call::FulfilCancelled,
];

/// What the calls are made with.
#[derive(Clone)]
struct Things {
    shop: Shop,
    sku: String,
    cancelled_order: String,
    used_id: String,
}

impl Things {
    async fn prepare(mut shop: Shop) -> Self {
        let sku = shop.stocked("counter", 1_000_000, (3, 0)).await;
        let used_id = Uuid::new_v4().to_string();
        let request = PlaceOrderRequest { request_id: used_id.clone(), ..shop.request(&[(&sku, 1)]) };
        let cancelled_order = shop.try_place(request).await.unwrap().order_id;
        shop.cancel(&cancelled_order, "").await.unwrap();
        Self { shop, sku, cancelled_order, used_id }
    }

    async fn make(mut self, call: Call, deadline: Option<Duration>) -> (&'static str, Result<(), Status>) {
        let order_id = self.cancelled_order.clone();
        let orders = &mut self.shop.orders;
        match call {
            Call::Place => {
                let message = self.shop.request(&[(&self.sku, 1)]);
                ("PlaceOrder", self.shop.orders.place_order(timed(message, deadline)).await.map(drop))
            }
            Call::PlaceNothing => {
                let message = self.shop.request(&[]);
                ("PlaceOrder", self.shop.orders.place_order(timed(message, deadline)).await.map(drop))
            }
            Call::PlaceOtherBodyWithUsedId => {
                let message =
                    PlaceOrderRequest { request_id: self.used_id.clone(), ..self.shop.request(&[(&self.sku, 2)]) };
                ("PlaceOrder", self.shop.orders.place_order(timed(message, deadline)).await.map(drop))
            }
            Call::GetKnown => {
                ("GetOrder", orders.get_order(timed(GetOrderRequest { order_id }, deadline)).await.map(drop))
            }
            Call::GetUnknown => {
                let message = GetOrderRequest { order_id: Uuid::now_v7().to_string() };
                ("GetOrder", orders.get_order(timed(message, deadline)).await.map(drop))
            }
            Call::CancelCancelled => {
                let message = CancelOrderRequest { order_id, note: String::new() };
                ("CancelOrder", orders.cancel_order(timed(message, deadline)).await.map(drop))
            }
            Call::FulfilCancelled => {
                let message = FulfillOrderRequest { order_id };
                ("FulfillOrder", orders.fulfill_order(timed(message, deadline)).await.map(drop))
            }
        }
    }
}

fn timed<T>(message: T, deadline: Option<Duration>) -> Request<T> {
    let mut request = Request::new(message);
    if let Some(deadline) = deadline {
        request.set_timeout(deadline);
    }
    request
}

/// `NOT_FOUND` for `NotFound`, as the label has it.
fn code_name(code: Code) -> String {
    let camel = format!("{code:?}");
    if camel == "Ok" {
        return "OK".to_owned();
    }
    let words = camel.char_indices().map(|(index, character)| {
        let gap = if index > 0 && character.is_ascii_uppercase() { "_" } else { "" };
        format!("{gap}{}", character.to_ascii_uppercase())
    });
    words.collect()
}

fn counted(metrics: &Metrics) -> Calls {
    let name = format!("{DURATION}_count");
    let of_ours = metrics.select(&name, &[]).filter(|sample| sample.labels["rpc_method"].starts_with(SERVICE));
    of_ours
        .map(|sample| {
            let label = |name: &str| sample.labels[name].clone();
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a count is a whole number")]
            let count = sample.value as u64;
            ((label("rpc_method"), label("rpc_response_status_code")), count)
        })
        .collect()
}

/// What was counted since `before`, once nothing is under way any more.
async fn counted_since(service: &Service, before: &Calls) -> Calls {
    eventually(seconds(20), async || {
        let metrics = service.metrics().await;
        let active = metrics.sum("rpc_server_active_requests", &[]);
        ensure!(active == 0.0, "{active} calls are under way");
        let now = counted(&metrics);
        let since = now.into_iter().map(|(call, count)| {
            let earlier = before.get(&call).copied().unwrap_or_default();
            (call, count - earlier)
        });
        Ok(since.filter(|(_, count)| *count > 0).collect())
    })
    .await
}

fn full_name(method: &str) -> String {
    format!("{SERVICE}/{method}")
}

#[tokio::test]
async fn calls_that_nobody_cancels_are_counted_exactly_under_the_code_that_was_seen() {
    const CALLS: usize = 700;
    let platform = faults().await;
    let things = Things::prepare(platform.shop()).await;
    let before = counted_since(&platform.orders, &Calls::new()).await;
    let calls = ALL.into_iter().cycle().take(CALLS).map(|call| things.clone().make(call, None));
    let answers: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;

    let mut seen = Calls::new();
    for (method, answer) in answers {
        let code = answer.map_or_else(|status| status.code(), |()| Code::Ok);
        *seen.entry((full_name(method), code_name(code))).or_default() += 1;
    }
    let codes: BTreeSet<&str> = seen.keys().map(|(_, code)| &**code).collect();
    let expected = ["ALREADY_EXISTS", "FAILED_PRECONDITION", "INVALID_ARGUMENT", "NOT_FOUND", "OK"];
    assert_eq!(codes, BTreeSet::from(expected), "the load has every kind of answer");
    assert_eq!(counted_since(&platform.orders, &before).await, seen);
}

#[tokio::test]
async fn calls_that_are_cancelled_timed_out_or_refused_are_counted_between_what_was_answered_and_what_was_sent() {
    const CALLS: usize = 3_000;
    let mut platform = faults().await;
    platform.orders.set("GRPC_CALLS_PER_SECOND_PER_CALLER", "100");
    platform.orders.restart().await;
    let things = Things::prepare(platform.shop()).await;
    let before = counted_since(&platform.orders, &Calls::new()).await;

    let mut chance = chance::seeded();
    let calls = (0..CALLS).map(|_| one_that_may_end_early(&things, &mut chance)).collect::<Vec<_>>();
    let outcomes: Vec<_> = stream::iter(calls).buffer_unordered(AT_ONCE).collect().await;

    let (mut sent, mut answered) = (BTreeMap::<String, u64>::new(), Calls::new());
    let mut refusals = BTreeSet::new();
    for (method, outcome) in outcomes {
        *sent.entry(full_name(method)).or_default() += 1;
        let code = match outcome {
            None => continue,
            Some(Ok(())) => Code::Ok,
            Some(Err(status)) => {
                let refusal = Refusal::of(&status);
                // Every error of the server has details; what has none was made up by the client.
                if refusal.reason.is_empty() {
                    continue;
                }
                refusals.insert(refusal.reason);
                refusal.code
            }
        };
        *answered.entry((full_name(method), code_name(code))).or_default() += 1;
    }
    assert!(refusals.contains(reasons::RATE_LIMITED), "some calls were refused: {refusals:?}");
    assert!(answered.values().sum::<u64>() < sent.values().sum::<u64>(), "some calls were given up");

    let counted = counted_since(&platform.orders, &before).await;
    for (call, count) in &answered {
        let by_server = counted.get(call).copied().unwrap_or_default();
        assert!(*count <= by_server, "{call:?}: {count} answers were seen, {by_server} counted");
    }
    for (method, sent) in &sent {
        let of_method = |calls: &Calls| -> u64 {
            calls.iter().filter(|((name, _), _)| name == method).map(|(_, count)| count).sum()
        };
        let (seen, by_server) = (of_method(&answered), of_method(&counted));
        eprintln!("{method}: {seen} answered ≤ {by_server} counted ≤ {sent} sent");
        assert!(seen <= by_server && by_server <= *sent, "{method}: {seen} answered, {by_server} counted, {sent} sent");
    }
    let codes: BTreeSet<&str> = counted.keys().map(|(_, code)| &**code).collect();
    assert!(codes.contains("CANCELLED"), "cancelled calls count, too: {codes:?}");
}

/// A call; a third of them have a deadline that is hard to meet, and a third are dropped by their caller.
fn one_that_may_end_early(
    things: &Things,
    chance: &mut StdRng,
) -> impl Future<Output = (&'static str, Option<Result<(), Status>>)> + use<> {
    let call = ALL[chance.random_range(0..ALL.len())];
    let patience = chance.random_range(Duration::ZERO..Duration::from_millis(8));
    let (deadline, dropped) = match chance.random_range(0..3) {
        0 => (None, None),
        1 => (Some(patience), None),
        _ => (None, Some(patience)),
    };
    let (things, method) = (things.clone(), method_of(call));
    async move {
        let made = things.make(call, deadline);
        match dropped {
            None => (method, Some(made.await.1)),
            Some(patience) => (method, tokio::time::timeout(patience, made).await.ok().map(|(_, answer)| answer)),
        }
    }
}

fn method_of(call: Call) -> &'static str {
    match call {
        Call::Place | Call::PlaceNothing | Call::PlaceOtherBodyWithUsedId => "PlaceOrder",
        Call::GetKnown | Call::GetUnknown => "GetOrder",
        Call::CancelCancelled => "CancelOrder",
        Call::FulfilCancelled => "FulfillOrder",
    }
}

#[tokio::test]
async fn methods_that_do_not_exist_make_no_series() {
    const BOGUS: usize = 5_000;
    let platform = faults().await;
    let channel = platform.orders.channel();
    let ask = |number: usize| {
        let mut client = tonic::client::Grpc::new(channel.clone());
        async move {
            client.ready().await.unwrap();
            // Services and methods that are not there, and names that look nearly right.
            let path = match number % 3 {
                0 => format!("/bogus.v{number}.Service/Method"),
                1 => format!("/{SERVICE}/PlaceOrder{number}"),
                _ => format!("/{SERVICE}x{number}/PlaceOrder"),
            };
            let codec = tonic_prost::ProstCodec::<GetOrderRequest, GetOrderRequest>::default();
            let request = Request::new(GetOrderRequest::default());
            client.unary(request, path.parse().unwrap(), codec).await.map(drop).unwrap_err().code()
        }
    };
    assert_eq!(ask(0).await, Code::Unimplemented);
    let series = |metrics: &Metrics| -> BTreeSet<String> {
        let of_calls = metrics.samples.iter().filter(|sample| sample.name.starts_with("rpc_"));
        of_calls.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    };
    let unknown = |metrics: &Metrics| metrics.sum(&format!("{DURATION}_count"), &[("rpc_method", "_OTHER")]);
    let before = platform.orders.metrics().await;
    let codes: BTreeSet<i32> =
        stream::iter((0..BOGUS).map(ask)).buffer_unordered(AT_ONCE).map(i32::from).collect().await;
    assert_eq!(codes, BTreeSet::from([i32::from(Code::Unimplemented)]));
    let after = platform.orders.metrics().await;
    assert_eq!(unknown(&after) - unknown(&before), 5_000.0);
    assert_eq!(series(&after), series(&before));
}
