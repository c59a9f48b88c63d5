//! How the commands reach a service: one plain connection (a load has more), a deadline on every call.
//!
//! A call continues the trace that the environment names in `TRACEPARENT` (W3C, as other command-line tools do it) and
//! otherwise starts none: this program exports no spans of its calls, so a trace of its own would have a root that nobody
//! ever sees. (Replayed dead letters are no calls, and have traces.)

use std::error::Error as _;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use tonic::metadata::MetadataValue;
use tonic::transport::{Channel, Endpoint, Uri};
use tonic::{Code, Request, Status};

use crate::failure::CallFailed;

/// Longest wait for a connection to a host that doesn't answer at all.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Where a service listens: `http://host:port`; the scheme may be left out. Or `unix:path`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Address(String);

impl FromStr for Address {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.strip_prefix("unix:").is_some_and(|path| !path.is_empty()) {
            return Ok(Self(text.to_owned()));
        }
        if text.starts_with("https://") {
            return Err("orderctl speaks plain http:// only".to_owned());
        }
        let with_scheme = if text.starts_with("http://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = with_scheme.parse().map_err(|error| format!("{error}; expected http://host:port"))?;
        if uri.port().is_none() || uri.host().is_none_or(str::is_empty) {
            return Err("expected http://host:port".to_owned());
        }
        Ok(Self(with_scheme.trim_end_matches('/').to_owned()))
    }
}

impl fmt::Display for Address {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

/// Opens a connection.
///
/// # Errors
/// Nothing listens there, or it doesn't answer within three seconds.
pub(crate) async fn connect(address: &Address) -> Result<Channel, CallFailed> {
    let failed = |error| CallFailed::new("connect", address, Status::from_error(Box::new(error)));
    let endpoint = Endpoint::from_shared(address.0.clone()).map_err(failed)?;
    endpoint.connect_timeout(CONNECT_TIMEOUT).tcp_nodelay(true).connect().await.map_err(failed)
}

/// Opens `count` connections, to all addresses of a name in turns: each replica behind it gets its share.
///
/// A name with one address is asked for again whenever a connection breaks. Where there are several, a connection stays
/// with its own.
///
/// # Errors
/// As [`connect`], for the first connection that does not come up.
pub(crate) async fn connect_to_all(address: &Address, count: u32) -> Result<Vec<Channel>, CallFailed> {
    let mut replicas = Vec::new();
    // localhost may have two addresses, of which one listens.
    if let Some(name) = address.0.strip_prefix("http://").filter(|name| !name.starts_with("localhost:")) {
        // Where the name leads nowhere, connecting fails the same way and says more.
        let found = tokio::net::lookup_host(name).await.into_iter().flatten();
        replicas.extend(found.map(|replica| Address(format!("http://{replica}"))));
        replicas.sort_by(|one, other| one.0.cmp(&other.0));
        replicas.dedup();
    }
    if replicas.len() < 2 {
        replicas = vec![address.clone()];
    }
    let mut channels = Vec::new();
    for replica in replicas.iter().cycle().take(count as usize) {
        channels.push(connect(replica).await?);
    }
    Ok(channels)
}

/// A message with the deadline that the server will see in `grpc-timeout`.
pub(crate) fn request<T>(message: T, timeout: Duration) -> Request<T> {
    let mut request = traced(message);
    request.set_timeout(timeout);
    request
}

/// A message without a deadline, for streams that stay open.
pub(crate) fn traced<T>(message: T) -> Request<T> {
    let mut request = Request::new(message);
    let given = std::env::var("TRACEPARENT").ok().and_then(|text| MetadataValue::try_from(text).ok());
    if let Some(traceparent) = given {
        request.metadata_mut().insert(proto::headers::TRACEPARENT, traceparent);
    }
    request
}

/// Whether the connection broke or the server is going away, so that a stream can be opened again.
pub(crate) fn is_broken_connection(status: &Status) -> bool {
    status.code() == Code::Unavailable || status.source().is_some()
}

/// Whether the same call may do better over another connection: this one broke, is going away, or leads nowhere.
pub(crate) fn is_worth_another_connection(status: &Status) -> bool {
    is_broken_connection(status) || (status.code() == Code::Cancelled && !is_timed_out(status))
}

/// Whether our own timer ended the call. tonic calls that CANCELLED and leaves nothing but its text to tell it by.
pub(crate) fn is_timed_out(status: &Status) -> bool {
    status.code() == Code::Cancelled && status.message() == tonic::TimeoutExpired(()).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_may_leave_out_the_scheme() {
        let address = |text: &str| text.parse::<Address>().map(|address| address.to_string());
        assert_eq!(address("127.0.0.1:50051"), Ok("http://127.0.0.1:50051".to_owned()));
        assert_eq!(address("http://orders:50051/"), Ok("http://orders:50051".to_owned()));
        assert_eq!(address("unix:/run/orders.sock"), Ok("unix:/run/orders.sock".to_owned()));
        for wrong in ["", "localhost", "unix:", "http://", "http://:1", "https://orders:443", "http://a b:1"] {
            assert!(address(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn deadline_travels_with_the_request() {
        let request = request((), Duration::from_millis(1500));
        assert!(request.metadata().contains_key("grpc-timeout"));
    }
    #[tokio::test]
    async fn server_that_says_nothing_exceeds_the_deadline() {
        use proto::orders::v1::GetOrderRequest;
        use proto::orders::v1::order_service_client::OrderServiceClient;

        let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("some port is free");
        let address: Address = silent.local_addr().expect("it is bound").to_string().parse().expect("an address");
        let mut client = OrderServiceClient::new(connect(&address).await.expect("the system accepts for it"));
        let call = client.get_order(request(GetOrderRequest::default(), Duration::from_millis(50)));
        let failure = CallFailed::new("GetOrder", &address, call.await.expect_err("nobody answers"));
        assert!(failure.to_string().starts_with("GetOrder: DEADLINE_EXCEEDED: "), "{failure}");
    }
}
