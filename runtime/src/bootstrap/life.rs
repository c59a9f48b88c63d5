//! A service's process from its start to its exit code.

use std::pin::pin;
use std::process::ExitCode;
use std::time::Duration;

use observability::logging::LogLevels;
use observability::metrics_page::MetricsPage;
use observability::telemetry::{Telemetry, TelemetrySettings};
use tokio::runtime::Builder;
use tokio::time::{sleep, timeout};

use super::common::CommonSettings;
use super::grace::Grace;
use super::{RuntimeHandle, Service, StartError, with_causes};
use crate::admin::AdminListener;
use crate::signals;
use crate::tasks::TaskGroup;

/// Starting binds and spawns; one that takes longer waits for something that a start must not wait for.
const START_LIMIT: Duration = Duration::from_secs(10);
/// For the last spans of a process that did not come to serve.
const FLUSH_AFTER_FAILED_START: Duration = Duration::from_secs(2);
/// For threads that are not Tokio's to stop: by now they have nothing to do, or they hang.
const LONGEST_WAIT_FOR_THREADS: Duration = Duration::from_millis(500);

/// What of telemetry the admin listener shows.
struct Operator {
    metrics: MetricsPage,
    log_levels: LogLevels,
}

/// How a life ended that had begun.
struct Ending {
    in_order: bool,
    grace: Grace,
}

/// Starts the service, lets it live, ends it.
pub(super) fn live<S: Service>(common: CommonSettings, settings: S::Settings) -> ExitCode {
    match with_telemetry::<S>(common, settings) {
        Ok(Ending { in_order: true, .. }) => ExitCode::SUCCESS,
        Ok(Ending { in_order: false, .. }) => ExitCode::FAILURE,
        Err(error) => {
            // To the log for whoever collects it, to standard error for whoever looks at the terminal.
            let error = with_causes(&*error);
            tracing::error!(error, "service failed");
            eprintln!("{}: {error}", S::NAME);
            ExitCode::FAILURE
        }
    }
}

/// Telemetry starts first and stops last, outside the service's runtime: flushing blocks.
fn with_telemetry<S: Service>(common: CommonSettings, settings: S::Settings) -> Result<Ending, StartError> {
    let handle = RuntimeHandle::new::<S>();
    let service_instance_id = handle.instance_id.clone();
    let telemetry = Telemetry::start(TelemetrySettings { service_instance_id, ..common.telemetry.clone() })?;
    let operator = Operator { metrics: telemetry.metrics(), log_levels: telemetry.log_levels() };
    let ending = on_a_runtime::<S>(common, settings, handle, operator);
    telemetry.shutdown(ending.as_ref().map_or(FLUSH_AFTER_FAILED_START, |ending| ending.grace.left()));
    ending
}

fn on_a_runtime<S: Service>(
    common: CommonSettings,
    settings: S::Settings,
    handle: RuntimeHandle,
    operator: Operator,
) -> Result<Ending, StartError> {
    let runtime = Builder::new_multi_thread().enable_all().thread_name(S::NAME).build()?;
    // Spawned, so that a panic in the service's own start or drain is an error like any other.
    let life = runtime.spawn(until_stopped::<S>(common, settings, handle, operator));
    let ending = runtime.block_on(life).map_err(StartError::from).flatten();
    let wait = ending.as_ref().map_or(LONGEST_WAIT_FOR_THREADS, |ending| ending.grace.left() / 2);
    runtime.shutdown_timeout(wait.min(LONGEST_WAIT_FOR_THREADS));
    ending
}

async fn until_stopped<S: Service>(
    common: CommonSettings,
    settings: S::Settings,
    handle: RuntimeHandle,
    operator: Operator,
) -> Result<Ending, StartError> {
    let RuntimeHandle { health, supervisor, .. } = handle.clone();
    let stop_requested = signals::stop_requested()?;
    let admin = TaskGroup::new("admin", &supervisor);
    let listener = AdminListener::bind(common.admin_listen).await?;
    tracing::info!(address = %listener.local_addr()?, "admin listening");
    let Operator { metrics, log_levels } = operator;
    let pages = listener.serve(health.clone(), move || metrics.render(), log_levels, admin.stop_token());
    admin.spawn("listener", pages);

    let started = timeout(START_LIMIT, S::start(settings, handle)).await;
    let service = started.map_err(|_| format!("did not start within {} s", START_LIMIT.as_secs()))??;
    tracing::info!("service started");

    // Both branches only listen; whichever is not taken loses nothing.
    tokio::select! {
        signal = stop_requested => tracing::info!(reason = %signal, "draining"),
        failure = supervisor.failed() => tracing::info!(reason = %failure, "draining"),
    }
    let grace = Grace::starting_now(common.shutdown_grace);
    health.start_draining();
    sleep(common.drain_delay).await;
    // Kept until the end: dropping it stops what it waits for, and then nobody could say what that was.
    let mut drain = pin!(service.drain(grace.for_drain()));
    let drained = timeout(grace.until_given_up(), &mut drain).await.is_ok();
    admin.stop(grace.left() / 2).await;

    if !drained {
        tracing::error!(tasks = supervisor.running().join(", "), "service did not drain in time and is given up");
    }
    let in_order = drained && supervisor.failure().is_none() && supervisor.abandoned().is_empty();
    tracing::info!(in_order, "service stopped");
    Ok(Ending { in_order, grace })
}
