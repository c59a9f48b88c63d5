//! Whatever a client sends, it is answered, the answer does not say that the server is at fault, and the server lives on.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use prost::Message as _;
use proto::orders::v1::GetOrderRequest;
use tokio::time::timeout;
use tonic::Code;
use tonic::body::Body;
use tower::{Service as _, ServiceExt as _};

use crate::support::{BareClient, Recording, TestServer};

const CASES: u32 = 500;
/// For one answer: far more than it takes.
const PATIENCE: Duration = Duration::from_secs(20);
const SERVICE: &str = "/orders.v1.OrderService";

/// One request, of whatever makes sense or not.
#[derive(Clone, Debug)]
struct Sent {
    method: Method,
    path: String,
    headers: Vec<(String, Vec<u8>)>,
    body: Vec<u8>,
}

fn path() -> impl Strategy<Value = String> {
    let names = ["GetOrder", "PlaceOrder", "CancelOrder", "ListOrders", "FulfillOrder", "PlaceOrders", "WatchOrder"];
    prop_oneof![
        8 => proptest::sample::select(names.map(|name| format!("{SERVICE}/{name}")).to_vec()),
        1 => Just("/grpc.health.v1.Health/Check".to_owned()),
        1 => Just("/grpc.reflection.v1.ServerReflection/ServerReflectionInfo".to_owned()),
        2 => "(/[a-zA-Z0-9.%~_-]{0,12}){1,4}",
    ]
}

fn header() -> impl Strategy<Value = (String, Vec<u8>)> {
    let known = [
        ("grpc-timeout", &["1n", "1S", "99999999H", "100000000S", "-1S", "1", "S", "", "1x", "0n"][..]),
        ("grpc-encoding", &["gzip", "identity", "deflate", "zstd", "?"]),
        ("grpc-accept-encoding", &["gzip", ",,,", "identity"]),
        ("traceparent", &["00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "00-0-0-0", "ff", ""]),
        ("tracestate", &["a=1,b=2", ",,=,", "===="]),
        ("baggage", &["shop.tenant=a", ";;;", "=,="]),
        ("te", &["trailers", "chunked"]),
        ("grpc-previous-rpc-attempts", &["1", "-1", "x"]),
        ("authorization", &["Bearer", "Bearer x.y.z", "Basic ="]),
    ];
    let known: Vec<(String, Vec<u8>)> = known
        .iter()
        .flat_map(|(name, values)| values.iter().map(|value| ((*name).to_owned(), value.as_bytes().to_vec())))
        .collect();
    prop_oneof![
        3 => proptest::sample::select(known),
        1 => ("[a-z][a-z0-9-]{0,20}", vec(0x20_u8..0x7f, 0..64)),
        1 => ("[a-z][a-z0-9-]{0,20}-bin", vec(0x20_u8..0x7f, 0..64)),
    ]
}

/// gRPC's frames: a flag, a length, so many bytes; or none of that.
fn body() -> impl Strategy<Value = Vec<u8>> {
    let good = GetOrderRequest { order_id: "any".to_owned() }.encode_to_vec();
    let payload = prop_oneof![2 => Just(good), 3 => vec(any::<u8>(), 0..200)];
    let flag = prop_oneof![4 => Just(0_u8), 1 => Just(1_u8), 1 => any::<u8>()];
    let length_off_by = prop_oneof![4 => Just(0_i64), 1 => -3_i64..300, 1 => Just(0x7fff_ffff_i64)];
    let frame = (flag, length_off_by, payload).prop_map(|(flag, off_by, payload)| {
        let length = i64::try_from(payload.len()).expect("it is short") + off_by;
        let length = u32::try_from(length.max(0)).expect("it is less than 2^32");
        [&[flag][..], &length.to_be_bytes(), &payload].concat()
    });
    prop_oneof![
        6 => vec(frame, 0..4).prop_map(|frames| frames.concat()),
        1 => vec(any::<u8>(), 0..64),
    ]
}

fn sent() -> impl Strategy<Value = Sent> {
    let method = prop_oneof![8 => Just(Method::POST), 1 => Just(Method::GET), 1 => Just(Method::OPTIONS)];
    let content_type = prop_oneof![
        8 => Just(Some("application/grpc")),
        1 => Just(Some("application/grpc+json")),
        1 => Just(Some("text/plain")),
        1 => Just(None),
    ];
    (method, path(), content_type, vec(header(), 0..5), body()).prop_map(
        |(method, path, content_type, headers, body)| {
            let content_type = content_type.map(|value| ("content-type".to_owned(), value.as_bytes().to_vec()));
            Sent { method, path, headers: content_type.into_iter().chain(headers).collect(), body }
        },
    )
}

impl Sent {
    /// None: not even a client could send it.
    fn request(&self, server: &TestServer) -> Option<Request<Body>> {
        let uri: Uri = format!("http://{}{}", server.address, self.path).parse().ok()?;
        let mut request = Request::builder().method(self.method.clone()).uri(uri);
        for (name, value) in &self.headers {
            let name = HeaderName::try_from(name).ok()?;
            // What belongs to a connection is refused by every HTTP/2 library before it is sent.
            if ["connection", "upgrade", "te", "host"].contains(&name.as_str()) && value != b"trailers" {
                return None;
            }
            request = request.header(name, HeaderValue::from_bytes(value).ok()?);
        }
        request.body(Body::new(Full::new(Bytes::from(self.body.clone())))).ok()
    }
}

/// The status of an answer, from its headers or from its trailers.
async fn code(client: &mut BareClient, request: Request<Body>) -> Result<Option<Code>, hyper::Error> {
    let answer = client.ready().await?.call(request).await?;
    let (head, body) = answer.into_parts();
    let of = |headers: &HeaderMap| Some(Code::from_bytes(headers.get("grpc-status")?.as_bytes()));
    if let Some(code) = of(&head.headers) {
        return Ok(Some(code));
    }
    let body = body.collect().await?;
    let in_trailers = body.trailers().and_then(of);
    // Without a gRPC status HTTP's own has to say that it was refused.
    Ok(in_trailers.or_else(|| (!head.status.is_success()).then_some(Code::Unimplemented)))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_request_is_the_server_s_fault_or_its_end() {
    let _recording = Recording::start().await;
    let server = TestServer::start().await;
    let client = server.bare_client().await;
    let handle = tokio::runtime::Handle::current();
    // The cases are run by a thread that may block.
    let fuzzed = tokio::task::spawn_blocking(move || {
        let mut runner = TestRunner::new(Config { cases: CASES, failure_persistence: None, ..Config::default() });
        let told = runner.run(&sent(), |sent| {
            let Some(request) = sent.request(&server) else { return Ok(()) };
            let mut client = client.clone();
            let answered = handle.block_on(async { timeout(PATIENCE, code(&mut client, request)).await });
            let code = answered.map_err(|_| TestCaseError::fail("no answer"))?;
            let code = code.map_err(|error| TestCaseError::fail(format!("{error:?}")))?;
            prop_assert!(code.is_some(), "an answer without a status");
            prop_assert!(!matches!(code, Some(Code::Internal | Code::Unknown)), "{code:?}");
            Ok(())
        });
        (told, server)
    });
    let (told, server) = fuzzed.await.unwrap();
    told.unwrap();
    server.orders().get_order(GetOrderRequest { order_id: "any".to_owned() }).await.unwrap();
}
