//! Whether another service is there: for the health of this one, and for the breaker of the calls to it.

use std::convert::Infallible;
use std::time::Duration;

use runtime::health::{Health, Impact};
use runtime::tasks::TaskGroup;
use tokio::time::Instant;
use tonic::Request;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::ClientStack;
use super::target::Addresses;

/// Between two looks.
const INTERVAL: Duration = Duration::from_secs(2);
/// A look that takes longer counts as a service that is away.
const PATIENCE: Duration = Duration::from_secs(2);
/// Replicas asked, one after the other, before the service counts as away: one that serves is enough.
const TRIES: usize = 3;

/// Spawns the task that keeps asking the target for its `grpc.health.v1` status. Component `name`: without it this
/// service is degraded and goes on. A target that says SERVING is also given a try if the breaker is open. The questions
/// go around the client stack: they are no calls of a user, so they are neither traced nor counted.
pub fn watch(stack: &ClientStack, name: &'static str, health: &Health, tasks: &TaskGroup) {
    let component = health.component(name, Impact::Degrades);
    let stack = stack.clone();
    let stop = tasks.stop_token();
    tasks.spawn(name, async move {
        let (target, breaker, addresses) =
            (stack.server_address(), stack.target().breaker(), stack.target().addresses());
        loop {
            let asked = Instant::now();
            match look(addresses).await {
                Ok(()) => {
                    component.up();
                    breaker.peer_is_serving(asked);
                }
                Err(problem) => component.down(format!("{target}: {problem}")),
            }
            addresses.show_ejected(Instant::now());
            tokio::select! {
                () = stop.cancelled() => return Ok::<(), Infallible>(()),
                () = tokio::time::sleep(INTERVAL) => {}
            }
        }
    });
}

async fn look(addresses: &Addresses) -> Result<(), String> {
    let mut problem = "no address".to_owned();
    for address in addresses.in_turn(TRIES) {
        let mut request = Request::new(HealthCheckRequest::default());
        request.set_timeout(PATIENCE);
        let mut client = HealthClient::new(address.health());
        problem = match tokio::time::timeout(PATIENCE, client.check(request)).await {
            Ok(Ok(answer)) if answer.get_ref().status() == ServingStatus::Serving => return Ok(()),
            Ok(Ok(answer)) => answer.get_ref().status().as_str_name().to_owned(),
            Ok(Err(status)) => status.message().to_owned(),
            Err(_) => "no answer".to_owned(),
        };
    }
    Err(problem)
}
