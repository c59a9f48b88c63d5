//! `grpc.health.v1`, as the service's own health says, damped. `/readyz` is not: it is for people who want to know why.

mod damper;

use runtime::health::{Health, Serving};
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

use damper::{Damper, Step};

/// The name of the server as a whole in the health protocol.
const WHOLE_SERVER: &str = "";

/// Reports every change that lasts until `stop`; then ends the streams of those who watch, which would otherwise keep the
/// server from stopping.
pub(super) async fn follow(
    mut reporter: HealthReporter,
    service_names: &[&'static str],
    health: Health,
    stop: CancellationToken,
) {
    let names = || service_names.iter().copied().chain([WHOLE_SERVER]);
    let (mut changes, mut damper) = (health.watch(), Damper::default());
    loop {
        let serving = *changes.borrow_and_update();
        let look_again = match damper.look(serving, health.is_draining(), Instant::now()) {
            Step::Rest => None,
            Step::Wait(until) => Some(until),
            Step::Report(serving) => {
                for name in names() {
                    reporter.set_service_status(name, status_of(serving)).await;
                }
                None
            }
        };
        tokio::select! {
            // All branches are cancel-safe: none takes anything before it is chosen.
            () = stop.cancelled() => break,
            () = sleep_until(look_again.unwrap_or_else(Instant::now)), if look_again.is_some() => {}
            // `health` is alive here, so the channel is open.
            _ = changes.changed() => {}
        }
    }
    for name in names() {
        reporter.clear_service_status(name).await;
    }
}

fn status_of(serving: Serving) -> ServingStatus {
    match serving {
        Serving::Serving => ServingStatus::Serving,
        Serving::NotServing => ServingStatus::NotServing,
    }
}
