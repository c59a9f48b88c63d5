//! Whether a broker is ready for clients.

use std::time::Duration;

use anyhow::{Context, Result};
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::consumer::{BaseConsumer, Consumer};

use crate::waiting::Patience;

/// How long a broker that should run already may take to answer.
pub(super) const RUNNING_LIMIT: Duration = Duration::from_secs(10);

/// One try of a metadata request.
const ATTEMPT: Duration = Duration::from_millis(500);

/// Waits until a metadata request names a broker. `check` runs between tries and can give up early.
///
/// # Errors
/// `check` failed, or `limit` has passed.
pub(super) async fn wait_until_ready(
    bootstrap_servers: &str,
    limit: Duration,
    mut check: impl FnMut() -> Result<()>,
) -> Result<()> {
    let patience = Patience::of(limit);
    // The client's own pause before it connects again grows to seconds; asking the port first spares it the refusals.
    while !any_accepts(bootstrap_servers).await {
        check()?;
        patience.poll(|| format!("{bootstrap_servers} did not accept a connection")).await?;
    }
    let consumer: BaseConsumer = ClientConfig::new()
        .set("bootstrap.servers", bootstrap_servers)
        .set("reconnect.backoff.ms", "20")
        .set("reconnect.backoff.max.ms", "100")
        .set_log_level(RDKafkaLogLevel::Emerg)
        .create()
        .context("can't make a Kafka client")?;
    let mut consumer = Some(consumer);
    loop {
        check()?;
        let asked = consumer.take().expect("the task below gives it back every time");
        let (ready, returned) = tokio::task::spawn_blocking(move || {
            let ready = asked.fetch_metadata(None, ATTEMPT).is_ok_and(|metadata| !metadata.brokers().is_empty());
            (ready, asked)
        })
        .await
        .context("the task that asks for metadata was cancelled")?;
        if ready {
            return Ok(());
        }
        consumer = Some(returned);
        patience.poll(|| format!("the broker at {bootstrap_servers} did not answer")).await?;
    }
}

async fn any_accepts(bootstrap_servers: &str) -> bool {
    for server in bootstrap_servers.split(',').map(str::trim) {
        if tokio::time::timeout(ATTEMPT, tokio::net::TcpStream::connect(server))
            .await
            .is_ok_and(|result| result.is_ok())
        {
            return true;
        }
    }
    false
}
