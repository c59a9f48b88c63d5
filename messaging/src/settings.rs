use std::time::Duration;

use rdkafka::ClientConfig;
use runtime::settings::SettingsReader;

/// How to reach Kafka.
#[derive(Clone, Debug)]
pub struct KafkaSettings {
    /// `host:port,…`.
    pub bootstrap_servers: String,
    /// Replication factor of topics that this service creates.
    pub replication_factor: i32,
    /// Longest wait of the relay between two looks at the outbox when nobody wakes it.
    pub relay_poll_interval: Duration,
    /// Records that the relay sends before it awaits their acknowledgements.
    pub relay_batch: i64,
    /// Records of all partitions that a consumer takes at once.
    pub consumer_batch: usize,
    /// How a group shares out partitions: `cooperative-sticky`, `range` or `roundrobin`.
    pub consumer_assignment_strategy: String,
}

/// `cooperative-sticky` moves only what has to be moved; the others take everything away first.
const ASSIGNMENT_STRATEGIES: [&str; 3] = ["cooperative-sticky", "range", "roundrobin"];

impl KafkaSettings {
    /// Declares and reads the settings; what is wrong is collected by `reader`.
    pub fn read(reader: &mut SettingsReader) -> Self {
        let settings = Self {
            bootstrap_servers: reader.required_text("KAFKA_BOOTSTRAP_SERVERS", "brokers to start from, host:port,…"),
            replication_factor: reader.value(
                "KAFKA_REPLICATION_FACTOR",
                "1",
                "of topics that are created when missing",
            ),
            relay_poll_interval: reader.duration(
                "RELAY_POLL_INTERVAL",
                "250ms",
                "longest wait between two looks at the outbox when nothing wakes the relay",
            ),
            relay_batch: reader.value(
                "RELAY_BATCH",
                "1000",
                "records that the relay sends before it awaits their acks",
            ),
            consumer_batch: reader.value("CONSUMER_BATCH", "1024", "records that the consumer takes at once"),
            consumer_assignment_strategy: reader.value(
                "CONSUMER_ASSIGNMENT_STRATEGY",
                ASSIGNMENT_STRATEGIES[0],
                "cooperative-sticky, range or roundrobin; the same in all replicas, so stop all to change it",
            ),
        };
        for address in settings.bootstrap_servers.split(',').filter(|_| !settings.bootstrap_servers.is_empty()) {
            let port = address.trim().rsplit_once(':').map(|(host, port)| (host, port.parse::<u16>()));
            if !matches!(port, Some((host, Ok(_))) if !host.is_empty()) {
                reader.reject("KAFKA_BOOTSTRAP_SERVERS", format!("'{address}' is not host:port"));
            }
        }
        let strategy = &settings.consumer_assignment_strategy;
        if !ASSIGNMENT_STRATEGIES.contains(&strategy.as_str()) {
            let known = ASSIGNMENT_STRATEGIES.join(", ");
            reader.reject("CONSUMER_ASSIGNMENT_STRATEGY", format!("'{strategy}' is none of {known}"));
        }
        if settings.relay_batch < 1 || settings.consumer_batch < 1 {
            reader.reject("RELAY_BATCH", "RELAY_BATCH and CONSUMER_BATCH must be at least 1".to_owned());
        }
        settings
    }

    /// What every client of librdkafka here starts from.
    pub(crate) fn client(&self, client_id: &str) -> ClientConfig {
        client(&self.bootstrap_servers, client_id)
    }
}

/// The same for those that need nothing but to know where the brokers are.
pub(crate) fn client(bootstrap_servers: &str, client_id: &str) -> ClientConfig {
    let mut config = ClientConfig::new();
    config
        .set("bootstrap.servers", bootstrap_servers)
        .set("client.id", client_id)
        .set("allow.auto.create.topics", "false")
        .set("reconnect.backoff.max.ms", "2000")
        .set("topic.metadata.refresh.interval.ms", "10000");
    config
}
