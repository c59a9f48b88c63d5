//! Topics are made before the first record is sent or read: brokers are not relied on to create them (R4).

use std::sync::Arc;
use std::time::Duration;

use proto::topics;
use rdkafka::admin::{AdminClient, AdminOptions, NewTopic, TopicReplication};
use rdkafka::client::DefaultClientContext;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};

use crate::KafkaSettings;
use crate::aside::Aside;
use crate::dead_letter;

const PATIENCE: Duration = Duration::from_secs(5);
/// A dead letter is its record plus the headers that say why, so its topic takes larger ones than the brokers' default.
pub(crate) const DEAD_LETTER_MAX_BYTES: &str = "4194304";

/// Why the topics are not known to be there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TopicsError {
    #[error("the brokers do not answer: {0}")]
    Brokers(#[from] KafkaError),
    #[error("topic {topic} can't be created: {code}")]
    Create { topic: String, code: RDKafkaErrorCode },
    #[error("the task that asks the brokers ended early")]
    Stopped,
}

/// Creates those of the platform's topics that are missing; whichever service comes first does.
pub(crate) async fn ensure(settings: &KafkaSettings) -> Result<(), TopicsError> {
    let admin: AdminClient<DefaultClientContext> = settings.client("topics").create()?;
    let admin = Arc::new(Aside::new(admin));
    let asked = Arc::clone(&admin);
    // librdkafka's metadata request blocks.
    let present = tokio::task::spawn_blocking(move || {
        let metadata = asked.inner().fetch_metadata(None, PATIENCE)?;
        let names = metadata.topics().iter().map(|topic| topic.name().to_owned());
        Ok::<_, KafkaError>(names.collect::<Vec<_>>())
    });
    let present = present.await.map_err(|_| TopicsError::Stopped)??;

    let sources = [topics::ORDERS, topics::INVENTORY];
    let dead_letters = sources.map(dead_letter::topic_for);
    let replication = || TopicReplication::Fixed(settings.replication_factor);
    let plain = sources.iter().map(|name| NewTopic::new(name, topics::PARTITIONS, replication()));
    let large = dead_letters.iter().map(|name| {
        NewTopic::new(name, topics::PARTITIONS, replication()).set("max.message.bytes", DEAD_LETTER_MAX_BYTES)
    });
    let missing: Vec<NewTopic<'_>> =
        plain.chain(large).filter(|topic| !present.iter().any(|name| name == topic.name)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    let options = AdminOptions::new().request_timeout(Some(PATIENCE)).operation_timeout(Some(PATIENCE));
    for created in admin.create_topics(&missing, &options).await? {
        match created {
            Ok(topic) => tracing::info!(topic, "topic created"),
            Err((_, RDKafkaErrorCode::TopicAlreadyExists)) => {}
            Err((topic, code)) => return Err(TopicsError::Create { topic, code }),
        }
    }
    Ok(())
}
