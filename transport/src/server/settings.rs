//! What an operator can set about the gRPC listener.

use std::time::Duration;

use runtime::listen::ListenAddress;
use runtime::settings::SettingsReader;

/// Settings of a service's gRPC listener.
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address to listen on; port 0 takes a free one.
    pub listen: ListenAddress,
    /// Bytes of the largest message that is taken. Each generated server enforces it:
    /// `OrderServiceServer::new(…).max_decoding_message_size(settings.max_message_bytes)`.
    pub max_message_bytes: usize,
    /// Bytes of the largest message that is sent, enforced there too: `max_encoding_message_size`.
    pub max_answer_bytes: usize,
    /// Calls at the same time on one connection; more wait at the client.
    pub max_concurrent_streams: u32,
    /// Time that unary calls may take on average: the number of them that are worked on at once is set by it.
    pub wanted_call_time: Duration,
    /// That number is never lower.
    pub min_concurrent_calls: usize,
    /// Nor higher.
    pub max_concurrent_calls: usize,
    /// Streaming calls that are open at once.
    pub max_open_streams: usize,
    /// The same for one caller.
    pub max_open_streams_per_caller: usize,
    /// Calls that one caller may begin in a second; 0 is any number.
    pub calls_per_second_per_caller: u32,
    /// Age at which a connection is closed once its calls have ended; zero is never.
    pub max_connection_age: Duration,
    /// Time between pings to a silent client.
    pub keepalive_interval: Duration,
    /// Time for the answer to a ping, after which the connection is closed.
    pub keepalive_timeout: Duration,
}

impl ServerSettings {
    /// Reads GRPC_LISTEN and what belongs to it.
    pub fn read(reader: &mut SettingsReader, default_listen: &'static str) -> Self {
        let settings = Self {
            listen: reader.listen_address(
                "GRPC_LISTEN",
                default_listen,
                "gRPC, reflection and grpc.health.v1: address and port, or unix:PATH",
            ),
            max_message_bytes: reader.value("GRPC_MAX_MESSAGE_BYTES", "1048576", "largest request in bytes"),
            max_answer_bytes: reader.value(
                "GRPC_MAX_ANSWER_BYTES",
                "4194304",
                "largest answer in bytes; 4 MiB is what gRPC clients take by default",
            ),
            max_concurrent_streams: reader.value(
                "GRPC_MAX_CONCURRENT_STREAMS",
                "1024",
                "calls at the same time on one connection; more wait at the client",
            ),
            wanted_call_time: reader.duration(
                "GRPC_WANTED_CALL_TIME",
                "100ms",
                "when unary calls take longer, fewer of them are worked on at once and the others refused",
            ),
            min_concurrent_calls: reader.value(
                "GRPC_MIN_CONCURRENT_CALLS",
                "250",
                "unary calls that are worked on at once, however long they take",
            ),
            max_concurrent_calls: reader.value(
                "GRPC_MAX_CONCURRENT_CALLS",
                "4000",
                "unary calls that are worked on at once, at most",
            ),
            max_open_streams: reader.value("GRPC_MAX_OPEN_STREAMS", "10000", "streaming calls that are open at once"),
            max_open_streams_per_caller: reader.value(
                "GRPC_MAX_OPEN_STREAMS_PER_CALLER",
                "5000",
                "the same for one caller, that is one principal or one address",
            ),
            calls_per_second_per_caller: reader.value(
                "GRPC_CALLS_PER_SECOND_PER_CALLER",
                "0",
                "calls that one caller may begin in a second; 0 is any number",
            ),
            max_connection_age: reader.duration(
                "GRPC_MAX_CONNECTION_AGE",
                "1h",
                "age at which a connection takes no more calls, so that clients look for new replicas; 0s is never",
            ),
            keepalive_interval: reader.duration(
                "GRPC_KEEPALIVE_INTERVAL",
                "30s",
                "time between pings to a silent client",
            ),
            keepalive_timeout: reader.duration("GRPC_KEEPALIVE_TIMEOUT", "10s", "time for the answer to a ping"),
        };
        settings.check(reader);
        settings
    }

    fn check(&self, reader: &mut SettingsReader) {
        let rules = [
            ("GRPC_MAX_MESSAGE_BYTES", self.max_message_bytes > 0, "0 would refuse every request"),
            ("GRPC_MAX_ANSWER_BYTES", self.max_answer_bytes > 0, "0 would refuse every answer"),
            ("GRPC_MAX_CONCURRENT_STREAMS", self.max_concurrent_streams > 0, "0 would let no call begin"),
            ("GRPC_WANTED_CALL_TIME", !self.wanted_call_time.is_zero(), "no call takes no time"),
            ("GRPC_MIN_CONCURRENT_CALLS", self.min_concurrent_calls > 0, "0 could let no call begin"),
            (
                "GRPC_MAX_CONCURRENT_CALLS",
                self.max_concurrent_calls >= self.min_concurrent_calls,
                "is less than GRPC_MIN_CONCURRENT_CALLS",
            ),
        ];
        for (name, holds, problem) in rules {
            if !holds {
                reader.reject(name, problem.to_owned());
            }
        }
    }
}
