//! What an operator can set about the gRPC listener.

use std::net::SocketAddr;
use std::time::Duration;

use runtime::settings::SettingsReader;

/// Settings of a service's gRPC listener.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: SocketAddr,
    /// Bytes of the largest message that is taken. Each generated server enforces it:
    /// `OrderServiceServer::new(…).max_decoding_message_size(settings.max_message_bytes)`.
    pub max_message_bytes: usize,
    /// Calls at the same time on one connection; more wait at the client.
    pub max_concurrent_streams: u32,
    /// Time between pings to a silent client.
    pub keepalive_interval: Duration,
    /// Time for the answer to a ping, after which the connection is closed.
    pub keepalive_timeout: Duration,
}

impl ServerSettings {
    /// Reads GRPC_LISTEN, GRPC_MAX_MESSAGE_BYTES, GRPC_MAX_CONCURRENT_STREAMS, GRPC_KEEPALIVE_INTERVAL and
    /// GRPC_KEEPALIVE_TIMEOUT.
    pub fn read(reader: &mut SettingsReader, default_listen: &'static str) -> Self {
        let settings = Self {
            listen: reader.address("GRPC_LISTEN", default_listen, "gRPC, reflection and grpc.health.v1"),
            max_message_bytes: reader.value("GRPC_MAX_MESSAGE_BYTES", "1048576", "largest request in bytes"),
            max_concurrent_streams: reader.value(
                "GRPC_MAX_CONCURRENT_STREAMS",
                "1024",
                "calls at the same time on one connection; more wait at the client",
            ),
            keepalive_interval: reader.duration(
                "GRPC_KEEPALIVE_INTERVAL",
                "30s",
                "time between pings to a silent client",
            ),
            keepalive_timeout: reader.duration("GRPC_KEEPALIVE_TIMEOUT", "10s", "time for the answer to a ping"),
        };
        if settings.max_message_bytes == 0 {
            reader.reject("GRPC_MAX_MESSAGE_BYTES", "0 would refuse every request".to_owned());
        }
        if settings.max_concurrent_streams == 0 {
            reader.reject("GRPC_MAX_CONCURRENT_STREAMS", "0 would let no call begin".to_owned());
        }
        settings
    }
}
