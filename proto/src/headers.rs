//! Names of headers: of Kafka records ([CloudEvents Kafka binding](https://github.com/cloudevents/spec), binary mode),
//! of dead letters, and of gRPC responses.

/// CloudEvents: always [`SPEC_VERSION`].
pub const CE_SPECVERSION: &str = "ce_specversion";
/// CloudEvents: UUIDv7 of the event, the same on every redelivery.
pub const CE_ID: &str = "ce_id";
/// CloudEvents: full name of the message in the record's value, e.g. `events.v1.OrderPlaced`.
pub const CE_TYPE: &str = "ce_type";
/// CloudEvents: name of the service that the event comes from.
pub const CE_SOURCE: &str = "ce_source";
/// CloudEvents: the order id, as the record's key.
pub const CE_SUBJECT: &str = "ce_subject";
/// CloudEvents: when it happened, RFC 3339.
pub const CE_TIME: &str = "ce_time";
/// Media type of the value: always [`PROTOBUF`].
pub const CONTENT_TYPE: &str = "content-type";
/// W3C trace context.
pub const TRACEPARENT: &str = "traceparent";
/// W3C trace context.
pub const TRACESTATE: &str = "tracestate";
/// W3C baggage.
pub const BAGGAGE: &str = "baggage";

/// The CloudEvents version.
pub const SPEC_VERSION: &str = "1.0";
/// The media type of every value.
pub const PROTOBUF: &str = "application/protobuf";

/// Dead letter: reason from a closed list.
pub const DLQ_REASON: &str = "dlq-reason";
/// Dead letter: what went wrong, for people.
pub const DLQ_ERROR: &str = "dlq-error";
/// Dead letter: topic the record was read from.
pub const DLQ_TOPIC: &str = "dlq-topic";
/// Dead letter: partition the record was read from.
pub const DLQ_PARTITION: &str = "dlq-partition";
/// Dead letter: offset the record was read from.
pub const DLQ_OFFSET: &str = "dlq-offset";
/// Dead letter: consumer group that gave up.
pub const DLQ_GROUP: &str = "dlq-group";
/// Dead letter: when the consumer gave up, RFC 3339.
pub const DLQ_TIME: &str = "dlq-time";
/// Dead letter: size in bytes of the value, which was too large to carry.
pub const DLQ_TRUNCATED: &str = "dlq-truncated";

/// gRPC response metadata, `true` when the order existed before the call.
pub const IDEMPOTENT_REPLAY: &str = "x-idempotent-replay";
