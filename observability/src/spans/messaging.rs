//! Records on their way through Kafka.

use opentelemetry::trace::{SpanKind, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    MESSAGING_CONSUMER_GROUP_NAME, MESSAGING_DESTINATION_NAME, MESSAGING_DESTINATION_PARTITION_ID,
    MESSAGING_KAFKA_MESSAGE_KEY, MESSAGING_KAFKA_OFFSET, MESSAGING_MESSAGE_ID, MESSAGING_OPERATION_NAME,
    MESSAGING_OPERATION_TYPE, MESSAGING_SYSTEM,
};

use super::open::{Opening, open};

/// Publishing one event, from the moment it is handed to the producer to its acknowledgement. The record's traceparent
/// is that of this span.
pub fn send(topic: &str, event_id: &str, key: &str, parent: &Context) -> Context {
    open(parent, || {
        let mut attributes = messaging_attributes("send", topic, event_id);
        attributes.push(KeyValue::new(MESSAGING_KAFKA_MESSAGE_KEY, key.to_owned()));
        Opening::new(SpanKind::Producer, format!("send {topic}"), attributes)
    })
}

/// A consumer's work on one record: a child of the `send` span in `parent`, so that an order is one trace, and linked
/// to it as the semantic conventions want of consumers.
pub fn process(topic: &str, partition: i32, offset: i64, event_id: &str, group: &str, parent: &Context) -> Context {
    open(parent, || {
        let mut attributes = messaging_attributes("process", topic, event_id);
        attributes.extend([
            KeyValue::new(MESSAGING_DESTINATION_PARTITION_ID, partition.to_string()),
            KeyValue::new(MESSAGING_KAFKA_OFFSET, offset),
            KeyValue::new(MESSAGING_CONSUMER_GROUP_NAME, group.to_owned()),
        ]);
        let sender = parent.span().span_context().clone();
        let sender = sender.is_valid().then_some(sender);
        Opening::new(SpanKind::Consumer, format!("process {topic}"), attributes).linked_to(sender)
    })
}

fn messaging_attributes(operation: &'static str, topic: &str, event_id: &str) -> Vec<KeyValue> {
    vec![
        KeyValue::new(MESSAGING_SYSTEM, "kafka"),
        KeyValue::new(MESSAGING_OPERATION_NAME, operation),
        KeyValue::new(MESSAGING_OPERATION_TYPE, operation),
        KeyValue::new(MESSAGING_DESTINATION_NAME, topic.to_owned()),
        KeyValue::new(MESSAGING_MESSAGE_ID, event_id.to_owned()),
    ]
}
