//! The gate in front of a service with a fixed number of workers, in a time that passes only when nobody has anything to
//! do: what is measured is the gate and not the machine.

use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tonic::Code;
use tower::{ServiceExt as _, service_fn};

use super::*;

const WORKERS: usize = 20;
const WORK: Duration = Duration::from_millis(20);
/// Calls in a second that the workers can do.
const CAPACITY: u32 = 1_000;
const WANTED: Duration = Duration::from_millis(100);

struct Ended {
    begun: Instant,
    time: Duration,
    code: Code,
}

fn gate() -> AdmitLayer {
    let settings = AdmitSettings {
        load: LoadSettings { min: WORKERS, max: 2_000, wanted: WANTED },
        streams: StreamSettings { most: 1, most_by_caller: 1 },
        calls_per_second: 0,
    };
    AdmitLayer::new(settings, Authentication::default(), ErrorDomain::ORDERS)
}

/// Begins calls at an even rate, whether those before are answered or not.
async fn offer(gate: &AdmitLayer, workers: &Arc<Semaphore>, time: Duration, calls_per_second: u32) -> Vec<Ended> {
    let begin = Instant::now();
    let mut calls = JoinSet::new();
    let mut number = 0;
    while begin.elapsed() < time {
        let workers = Arc::clone(workers);
        let service = gate.layer(service_fn(move |_: Request<Body>| {
            let workers = Arc::clone(&workers);
            async move {
                let _worker = workers.acquire().await.expect("it is never closed");
                tokio::time::sleep(WORK).await;
                Ok::<_, Infallible>(Response::new(Body::empty()))
            }
        }));
        calls.spawn(async move {
            let begun = Instant::now();
            let request = Request::builder().uri("/orders.v1.OrderService/GetOrder").body(Body::empty()).unwrap();
            let Ok(response) = service.oneshot(request).await;
            let code = Status::from_header_map(response.headers()).map_or(Code::Ok, |status| status.code());
            Ended { begun, time: begun.elapsed(), code }
        });
        number += 1;
        tokio::time::sleep_until(begin + Duration::from_secs(1) * number / calls_per_second).await;
    }
    calls.join_all().await
}

fn times(calls: &[Ended], code: Code) -> Vec<Duration> {
    let mut times: Vec<_> = calls.iter().filter(|call| call.code == code).map(|call| call.time).collect();
    times.sort();
    times
}

async fn carried(overload: u32) {
    let (gate, workers) = (gate(), Arc::new(Semaphore::new(WORKERS)));
    let (warm_up, measured) = (Duration::from_secs(3), 3);
    let begin = Instant::now();
    let mut calls = offer(&gate, &workers, warm_up + Duration::from_secs(measured.into()), overload * CAPACITY).await;
    calls.retain(|call| call.begun >= begin + warm_up);
    let (admitted, refused) = (times(&calls, Code::Ok), times(&calls, Code::ResourceExhausted));
    assert_eq!(admitted.len() + refused.len(), calls.len());
    let goodput = admitted.len() as f64 / f64::from(measured * CAPACITY);
    let slow = admitted[admitted.len() * 99 / 100];
    println!("{overload}× the capacity: goodput {goodput:.3}, admitted p99 {slow:?}, {} refused", refused.len());
    assert!(goodput > 0.9, "{goodput}");
    assert!(slow < 2 * WANTED, "{slow:?}");
    assert_eq!(refused.last(), Some(&Duration::ZERO));

    let after = offer(&gate, &workers, Duration::from_secs(1), CAPACITY * 9 / 10).await;
    assert!(after.iter().all(|call| call.code == Code::Ok), "what can be carried is admitted again at once");
}

#[tokio::test(start_paused = true)]
async fn twice_the_load_is_carried_at_the_peak_rate() {
    carried(2).await;
}

#[tokio::test(start_paused = true)]
async fn five_times_the_load_is_carried_at_the_peak_rate() {
    carried(5).await;
}

#[tokio::test(start_paused = true)]
async fn call_that_its_caller_drops_gives_its_place_back() {
    let gate = gate();
    let service =
        gate.layer(service_fn(|_: Request<Body>| std::future::pending::<Result<Response<Body>, Infallible>>()));
    let inside = || lock(&gate.0.load).inside();
    let request = Request::builder().uri("/orders.v1.OrderService/GetOrder").body(Body::empty()).unwrap();
    let call = tokio::spawn(service.oneshot(request));
    tokio::task::yield_now().await;
    assert_eq!(inside(), 1);
    call.abort();
    assert!(call.await.is_err());
    assert_eq!(inside(), 0);
}
