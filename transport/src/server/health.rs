//! `grpc.health.v1`, as the service's own health says.

use runtime::health::Serving;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tonic_health::ServingStatus;
use tonic_health::server::HealthReporter;

/// The name of the server as a whole in the health protocol.
const WHOLE_SERVER: &str = "";

/// Reports every change until `stop`; then ends the streams of those who watch, which would otherwise keep the server
/// from stopping.
pub(super) async fn follow(
    mut reporter: HealthReporter,
    service_names: &[&'static str],
    mut health: watch::Receiver<Serving>,
    stop: CancellationToken,
) {
    let names = || service_names.iter().copied().chain([WHOLE_SERVER]);
    loop {
        let status = match *health.borrow_and_update() {
            Serving::Serving => ServingStatus::Serving,
            Serving::NotServing => ServingStatus::NotServing,
        };
        for name in names() {
            reporter.set_service_status(name, status).await;
        }
        tokio::select! {
            // Both branches are cancel-safe: neither takes anything before it is chosen.
            () = stop.cancelled() => break,
            changed = health.changed() => if changed.is_err() {
                stop.cancelled().await;
                break;
            },
        }
    }
    for name in names() {
        reporter.clear_service_status(name).await;
    }
}
