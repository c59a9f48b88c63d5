use observability::{names, spans};
use opentelemetry::Context;
use rdkafka::error::{KafkaError, RDKafkaErrorCode};
use rdkafka::producer::DeliveryFuture;

use crate::dead_letter::Reason;

/// What became of an event.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    Acknowledged,
    Refused(Reason),
    Later,
    /// For now: its topic is not there, and somebody has to make it.
    NoTopic,
}

/// Counts an answered event.
pub(super) fn count(topic: &str, fate: Fate) {
    let outcome = match fate {
        Fate::Acknowledged => "ok",
        Fate::Refused(_) | Fate::Later | Fate::NoTopic => "error",
    };
    metrics::counter!(
        names::MESSAGING_SENT_MESSAGES,
        "messaging_destination_name" => topic.to_owned(),
        "outcome" => outcome,
    )
    .increment(1);
}

/// Awaits the acknowledgement of one record and ends its span.
pub(super) async fn acknowledged(span: Context, sending: Result<DeliveryFuture, KafkaError>) -> Fate {
    let error = match sending {
        Err(error) => Some(error),
        Ok(delivery) => match delivery.await {
            Ok(Ok(_)) => None,
            Ok(Err((error, _))) => Some(error),
            // The producer was dropped with the record inside.
            Err(_) => Some(KafkaError::Canceled),
        },
    };
    if let Some(error) = &error {
        spans::fail(&span, error.to_string());
    }
    spans::end(&span);
    error.map_or(Fate::Acknowledged, |error| fate(&error))
}

/// Only "too large" and "invalid" are about the record; everything else passes (R4).
fn fate(error: &KafkaError) -> Fate {
    match error.rdkafka_error_code() {
        Some(RDKafkaErrorCode::MessageSizeTooLarge) => Fate::Refused(Reason::TooLarge),
        Some(RDKafkaErrorCode::InvalidRecord) => Fate::Refused(Reason::InvalidRecord),
        code => {
            tracing::warn!(error = %error, "a record could not be sent; it stays in the outbox");
            match code {
                Some(RDKafkaErrorCode::UnknownTopic | RDKafkaErrorCode::UnknownTopicOrPartition) => Fate::NoTopic,
                Some(_) | None => Fate::Later,
            }
        }
    }
}
