//! Whether another service is there, for the health of this one.

use std::convert::Infallible;
use std::time::Duration;

use runtime::health::{Health, Impact};
use runtime::tasks::TaskGroup;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::ClientSettings;
use super::connections::Connections;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// A look that takes longer counts as a service that is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// Replicas asked, one after the other, before the service counts as away: one that serves is enough.
const TRIES: usize = 3;

/// Spawns the task that keeps asking the target for its `grpc.health.v1` status. Component `name`: without it this service
/// is degraded and goes on. The questions go around the client stack: they are no calls of a user, so they are neither
/// traced nor counted.
pub fn watch(settings: &ClientSettings, name: &'static str, health: &Health, tasks: &TaskGroup) {
    let component = health.component(name, Impact::Degrades);
    let target = settings.endpoints.to_string();
    let connections = Connections::open(&ClientSettings { connections: 1, ..settings.clone() });
    let client = HealthClient::new(connections);
    let stop = tasks.stop_token();
    tasks.spawn(name, async move {
        loop {
            match look(&client).await {
                Ok(()) => component.up(),
                Err(problem) => component.down(format!("{target}: {problem}")),
            }
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    });
}

async fn look(client: &HealthClient<Connections>) -> Result<(), String> {
    let mut problem = String::new();
    for _ in 0..TRIES {
        let mut request = Request::new(HealthCheckRequest::default());
        request.set_timeout(PATIENCE);
        let asked = tokio::time::timeout(PATIENCE, async { client.clone().check(request).await });
        problem = match asked.await {
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => return Ok(()),
            Ok(Ok(answer)) => answer.get_ref().status().as_str_name().to_owned(),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => "no answer".to_owned(),
        };
    }
    Err(problem)
}
