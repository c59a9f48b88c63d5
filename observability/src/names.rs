//! The contract's metrics: names, kinds and help texts in one place.
//!
//! Labels belong to who records a metric; each label's values form a closed list.

use metrics::{Unit, describe_counter, describe_gauge, describe_histogram};

/// Histogram; `rpc_method`, `rpc_response_status_code`.
pub const RPC_SERVER_CALL_DURATION: &str = "rpc_server_call_duration_seconds";
/// Histogram; `rpc_method`, `rpc_response_status_code`, `server_address`.
pub const RPC_CLIENT_CALL_DURATION: &str = "rpc_client_call_duration_seconds";
/// Gauge; `server_address`. Not of the contract: 0 closed, 1 open, 2 half open.
pub const RPC_CLIENT_CIRCUIT_BREAKER_STATE: &str = "rpc_client_circuit_breaker_state";
/// Gauge; `server_address`. Not of the contract: addresses of a target that are left out because their calls fail.
pub const RPC_CLIENT_EJECTED_ADDRESSES: &str = "rpc_client_ejected_addresses";
/// Counter; `rpc_method`, `server_address`, `outcome` (sent, `refused_by_budget`). Not of the contract.
pub const RPC_CLIENT_RETRIES: &str = "rpc_client_retries_total";
/// Gauge; `rpc_method`.
pub const RPC_SERVER_ACTIVE_REQUESTS: &str = "rpc_server_active_requests";
/// Gauge; no labels. Not of the contract: unary calls that may be worked on at once.
pub const RPC_SERVER_CALL_LIMIT: &str = "rpc_server_call_limit";
/// Gauge; no labels. Not of the contract: unary calls that count against [`RPC_SERVER_CALL_LIMIT`].
pub const RPC_SERVER_LIMITED_CALLS: &str = "rpc_server_limited_calls";
/// Counter; `reason` (unauthenticated, `rate_limited`, overloaded, `too_many_streams`). Not of the contract.
pub const RPC_SERVER_REFUSED_CALLS: &str = "rpc_server_refused_calls_total";
/// Counter; `messaging_destination_name`, `outcome` (ok, error).
pub const MESSAGING_SENT_MESSAGES: &str = "messaging_client_sent_messages_total";
/// Counter; `messaging_destination_name`, `messaging_consumer_group_name`.
pub const MESSAGING_CONSUMED_MESSAGES: &str = "messaging_client_consumed_messages_total";
/// Histogram; `messaging_destination_name`, `outcome` (ok, ignored, `dead_letter`, retry).
pub const MESSAGING_PROCESS_DURATION: &str = "messaging_process_duration_seconds";
/// Histogram; `db_operation_name`, `outcome` (ok, error).
pub const DB_OPERATION_DURATION: &str = "db_client_operation_duration_seconds";
/// Histogram; `db_operation_name`. Not of the contract: commands that shared a transaction.
pub const WRITER_BATCH_COMMANDS: &str = "writer_batch_commands";
/// Gauge; `db_operation_name`. Not of the contract: commands that wait for a writer.
pub const WRITER_QUEUE_COMMANDS: &str = "writer_queue_commands";
/// Gauge; `db_operation_name`. Not of the contract: keys that wait to be looked up.
pub const LOOKUP_QUEUE_KEYS: &str = "lookup_queue_keys";
/// Gauge; `db_client_connection_pool_name` (`reads`, `writes`), `db_client_connection_state` (`idle`, `used`). Not of the
/// contract; named as OpenTelemetry's `db.client.connection.count`.
pub const DB_CONNECTIONS: &str = "db_client_connection_count";
/// Gauge; `db_client_connection_pool_name`. Not of the contract; OpenTelemetry's `db.client.connection.max`.
pub const DB_CONNECTIONS_MAX: &str = "db_client_connection_max";
/// Histogram; `db_operation_name`. Not of the contract: the part of a transaction that waits for the disk.
pub const WRITER_COMMIT_DURATION: &str = "writer_commit_duration_seconds";
/// Counter; `outcome` (confirmed, rejected, pending, cancelled, replayed).
pub const ORDERS_PLACED: &str = "orders_placed_total";
/// Counter; `from` (`none` at placement), `to`.
pub const ORDERS_TRANSITIONS: &str = "orders_transitions_total";
/// Histogram; `outcome` (confirmed, rejected, cancelled).
pub const ORDER_COMPLETION: &str = "order_completion_seconds";
/// Gauge; no labels.
pub const OUTBOX_PENDING_MESSAGES: &str = "outbox_pending_messages";
/// Gauge; no labels.
pub const OUTBOX_OLDEST_MESSAGE_AGE: &str = "outbox_oldest_message_age_seconds";
/// Gauge; no labels. Not of the contract: 1 while this replica's relay leads, so the sum over a service's replicas is 1.
pub const RELAY_LEADER: &str = "relay_leader";
/// Gauge; `messaging_destination_name`, `partition`.
pub const KAFKA_CONSUMER_LAG: &str = "kafka_consumer_lag_messages";
/// Counter; `messaging_destination_name`, `reason`.
pub const DEAD_LETTERS: &str = "dead_letters_total";
/// Counter; `messaging_destination_name`. Not of the contract: stored positions that the broker no longer had.
pub const KAFKA_CONSUMER_POSITION_RESETS: &str = "kafka_consumer_position_resets_total";

/// Counter; `reason` (`queue_full`, `export_failed`). Not of the contract: telemetry's account of itself (I9).
pub const TELEMETRY_DROPPED_SPANS: &str = "telemetry_dropped_spans_total";
/// Gauge; no labels. Not of the contract: the share of traces that Jaeger lets this service begin, of operations without a
/// share of their own.
pub const TELEMETRY_SAMPLING_SHARE: &str = "telemetry_sampling_share";
/// Counter; no labels. Not of the contract: log lines that were left out because they repeated themselves.
pub const LOG_LINES_LEFT_OUT: &str = "log_lines_left_out_total";
/// Gauge, always 1; `service`, `version`.
pub const BUILD_INFO: &str = "build_info";
/// Gauge; as Prometheus' own client libraries name it.
pub const PROCESS_RESIDENT_MEMORY: &str = "process_resident_memory_bytes";
/// Gauge holding a counter's value, because processor time is a fraction of seconds.
pub const PROCESS_CPU_SECONDS: &str = "process_cpu_seconds_total";
/// Gauge.
pub const PROCESS_OPEN_FDS: &str = "process_open_fds";

/// Bucket edges of every histogram, in seconds.
pub const BUCKETS: [f64; 14] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// Bucket edges of [`ORDER_COMPLETION`], in seconds: an order may wait for inventory to come back.
pub const COMPLETION_BUCKETS: [f64; 17] =
    [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0];

/// Bucket edges of [`WRITER_BATCH_COMMANDS`], in commands.
pub const BATCH_BUCKETS: [f64; 9] = [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 64.0, 128.0, 256.0];

/// Gives the recorder the help text of every metric.
pub fn describe_all() {
    describe_calls();
    describe_messages();
    describe_orders();
    describe_process();
}

fn describe_calls() {
    describe_histogram!(
        RPC_SERVER_CALL_DURATION,
        Unit::Seconds,
        "Time from a call's arrival to the end of its answer, cancelled calls included."
    );
    describe_histogram!(
        RPC_CLIENT_CALL_DURATION,
        Unit::Seconds,
        "Time from sending a call to the end of its answer, by the configured target."
    );
    describe_gauge!(RPC_CLIENT_CIRCUIT_BREAKER_STATE, "Circuit breaker of a target: 0 closed, 1 open, 2 half open.");
    describe_gauge!(RPC_CLIENT_EJECTED_ADDRESSES, "Addresses of a target that are left out because their calls fail.");
    describe_counter!(RPC_CLIENT_RETRIES, "Attempts to repeat a call, by whether the retry budget had room for them.");
    describe_gauge!(RPC_SERVER_ACTIVE_REQUESTS, "Calls that are being answered.");
    describe_gauge!(RPC_SERVER_CALL_LIMIT, "Unary calls that may be worked on at once; follows their time.");
    describe_gauge!(RPC_SERVER_LIMITED_CALLS, "Unary calls that are worked on, health and reflection excluded.");
    describe_counter!(RPC_SERVER_REFUSED_CALLS, "Calls that were refused before anything was done, by reason.");
    describe_histogram!(
        DB_OPERATION_DURATION,
        Unit::Seconds,
        "Time of one transaction or query, a group commit counting once."
    );
    describe_histogram!(WRITER_BATCH_COMMANDS, "Commands that shared a transaction.");
    describe_gauge!(WRITER_QUEUE_COMMANDS, "Commands that wait for a writer.");
    describe_gauge!(LOOKUP_QUEUE_KEYS, "Keys that wait to be looked up.");
    describe_gauge!(DB_CONNECTIONS, "Open connections to the database, by pool and whether they are in use.");
    describe_gauge!(DB_CONNECTIONS_MAX, "Connections to the database that a pool may open.");
    describe_histogram!(WRITER_COMMIT_DURATION, Unit::Seconds, "Time of COMMIT alone, which waits for the disk.");
}

fn describe_messages() {
    describe_counter!(MESSAGING_SENT_MESSAGES, "Records handed to Kafka, by whether Kafka acknowledged them.");
    describe_counter!(MESSAGING_CONSUMED_MESSAGES, "Records received from Kafka, redelivered ones included.");
    describe_histogram!(MESSAGING_PROCESS_DURATION, Unit::Seconds, "Time spent on one record, by what became of it.");
    describe_gauge!(OUTBOX_PENDING_MESSAGES, "Events that wait to be published; 0 except from the leading relay.");
    describe_gauge!(
        OUTBOX_OLDEST_MESSAGE_AGE,
        Unit::Seconds,
        "Age of the oldest event that waits to be published; 0 except from the leading relay."
    );
    describe_gauge!(RELAY_LEADER, "1 while this replica's relay leads, else 0.");
    describe_gauge!(KAFKA_CONSUMER_LAG, "Records behind the end of a partition; 0 once it is another consumer's.");
    describe_counter!(
        KAFKA_CONSUMER_POSITION_RESETS,
        "Stored positions that the broker no longer had, set to the lowest."
    );
    describe_counter!(DEAD_LETTERS, "Records that a consumer gave up on, by reason.");
}

fn describe_orders() {
    describe_counter!(ORDERS_PLACED, "Answers to PlaceOrder, by what the caller was told.");
    describe_counter!(ORDERS_TRANSITIONS, "Moves of orders from one status to another.");
    describe_histogram!(ORDER_COMPLETION, Unit::Seconds, "Time from placement until an order is no longer PENDING.");
}

fn describe_process() {
    describe_counter!(TELEMETRY_DROPPED_SPANS, "Spans that did not reach the collector, by reason.");
    describe_gauge!(
        TELEMETRY_SAMPLING_SHARE,
        "Share of the traces begun here that Jaeger wants recorded at the moment."
    );
    describe_counter!(LOG_LINES_LEFT_OUT, "Log lines that were left out because they repeated themselves.");
    describe_gauge!(BUILD_INFO, "Always 1; the labels say what runs.");
    describe_gauge!(PROCESS_RESIDENT_MEMORY, "Memory of this process in RAM, in bytes.");
    describe_gauge!(PROCESS_CPU_SECONDS, "Processor time used by this process so far, in seconds.");
    describe_gauge!(PROCESS_OPEN_FDS, "Open file descriptors of this process.");
}
