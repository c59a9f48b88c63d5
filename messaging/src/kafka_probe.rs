//! Whether the brokers are there, for the service's health.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use rdkafka::error::KafkaError;
use rdkafka::producer::{BaseProducer, Producer as _};
use runtime::health::{Health, Impact};
use runtime::tasks::TaskGroup;

use crate::KafkaSettings;

const INTERVAL: Duration = Duration::from_secs(2);
const PATIENCE: Duration = Duration::from_secs(2);

/// Spawns the task that keeps asking the brokers for their metadata. Component `kafka`: a service without it is degraded
/// and goes on, since events wait in the outbox.
///
/// # Errors
/// When librdkafka refuses the settings.
pub fn watch(settings: &KafkaSettings, health: &Health, tasks: &TaskGroup) -> Result<(), KafkaError> {
    let client: Arc<BaseProducer> = Arc::new(settings.client("probe").create()?);
    let component = health.component("kafka", Impact::Degrades);
    let (stop, servers) = (tasks.stop_token(), settings.bootstrap_servers.clone());
    tasks.spawn("kafka-probe", async move {
        loop {
            // Errors queue up in a client that nobody polls.
            client.poll(Duration::ZERO);
            let asked = Arc::clone(&client);
            // librdkafka's metadata request blocks.
            let look = tokio::task::spawn_blocking(move || asked.client().fetch_metadata(None, PATIENCE).map(|_| ()));
            match look.await {
                Ok(Ok(())) => component.up(),
                Ok(Err(error)) => component.down(format!("{servers}: {error}")),
                Err(error) => component.down(format!("{servers}: {error}")),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    });
    Ok(())
}
