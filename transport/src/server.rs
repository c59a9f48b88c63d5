//! The gRPC listener of a service: its own services, reflection, health, and the stack around all of them.

mod admit;
mod ending;
mod explain;
mod health;
mod observe;
mod panic;
mod settings;
mod stack;

use std::time::Duration;

use futures::future::{Either, select};
use runtime::health::Health;
use runtime::listen::{BindError, Listener};
use tokio_stream::wrappers::UnixListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::service::Routes;
use tonic::transport::Server;
use tonic::transport::server::TcpIncoming;

use crate::error::ErrorDomain;

pub use admit::{Authentication, NotAuthenticated, Principal};
pub use settings::ServerSettings;

use admit::{AdmitSettings, LoadSettings, StreamSettings};
use ending::Ending;

/// Flow control windows in bytes. tonic's 1 MiB for each stream costs that much for each busy connection; on a local
/// network this is as fast.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;
/// Metadata of one request; hyper's own default is the same, said here because it is a limit.
const MAX_HEADER_BYTES: u32 = 16 * 1_024;
/// Replicas that started together don't close all their connections together: by so much their ages differ, either way.
const AGE_JITTER: f64 = 0.1;
/// Detects peers that are gone although nothing is sent.
const TCP_KEEPALIVE: Duration = Duration::from_secs(60);

/// What a service serves, beside what every server has.
#[derive(Clone, Debug)]
pub struct Business {
    /// Its generated servers.
    pub routes: Routes,
    /// Their names, for reflection and health.
    pub names: &'static [&'static str],
    /// Whose reasons its errors have.
    pub domain: ErrorDomain,
    /// How its callers are authenticated.
    pub authentication: Authentication,
}

/// The listener stopped because of an error.
#[derive(Debug, thiserror::Error)]
pub enum ServeError {
    /// Connections can't be accepted any more.
    #[error("gRPC listener failed: {0}")]
    Transport(#[from] tonic::transport::Error),
    /// The descriptors do not fit together; found at start.
    #[error("reflection can't be served: {0}")]
    Reflection(#[from] tonic_reflection::server::Error),
}

/// Listens on the settings' address. Calls are accepted once [`serve`] runs.
///
/// # Errors
/// The address is in use or not allowed.
pub async fn bind(settings: &ServerSettings) -> Result<Listener, BindError> {
    runtime::listen::bind_any("GRPC_LISTEN", &settings.listen).await
}

/// Serves `business` and, beside it, reflection (v1 and v1alpha) and `grpc.health.v1` for "" and each of its names as
/// `health` says.
///
/// When `stop` is cancelled no connection and no call is accepted any more, health watches and reflection end, and the
/// future is ready once all other calls have ended. That can take as long as they like: the caller sets the limit.
///
/// # Errors
/// See [`ServeError`].
pub async fn serve(
    listener: Listener,
    settings: ServerSettings,
    business: Business,
    health: &Health,
    stop: CancellationToken,
) -> Result<(), ServeError> {
    let (reporter, health_service) = tonic_health::server::health_reporter();
    let (names, domain) = (business.names, business.domain);
    let routes = business
        .routes
        .add_service(health_service)
        .add_service(Ending { inner: reflection(names).build_v1()?, stop: stop.clone(), domain })
        .add_service(Ending { inner: reflection(names).build_v1alpha()?, stop: stop.clone(), domain })
        .prepare();
    let mut server = Server::builder();
    if !settings.max_connection_age.is_zero() {
        // Without a grace, which would break connections that still have calls.
        server = server.max_connection_age(jittered(settings.max_connection_age));
    }
    let server = server
        .layer(stack::stack(domain, business.authentication, admission(&settings)))
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_concurrent_streams(settings.max_concurrent_streams)
        .http2_max_header_list_size(MAX_HEADER_BYTES)
        .http2_keepalive_interval(Some(settings.keepalive_interval))
        .http2_keepalive_timeout(Some(settings.keepalive_timeout))
        .add_routes(routes);
    let stopped = stop.clone().cancelled_owned();
    let serving = match listener {
        Listener::Tcp(listener) => {
            let incoming = TcpIncoming::from(listener).with_nodelay(Some(true)).with_keepalive(Some(TCP_KEEPALIVE));
            Either::Left(server.serve_with_incoming_shutdown(incoming, stopped))
        }
        Listener::Unix(listener) => {
            Either::Right(server.serve_with_incoming_shutdown(UnixListenerStream::new(listener), stopped))
        }
    };
    let reporting = health::follow(reporter, names, health.clone(), stop);
    match select(Box::pin(serving), Box::pin(reporting)).await {
        Either::Left((served, _)) => Ok(served?),
        Either::Right(((), serving)) => Ok(serving.await?),
    }
}

fn admission(settings: &ServerSettings) -> AdmitSettings {
    AdmitSettings {
        load: LoadSettings {
            min: settings.min_concurrent_calls,
            max: settings.max_concurrent_calls,
            wanted: settings.wanted_call_time,
        },
        streams: StreamSettings {
            most: settings.max_open_streams,
            most_by_caller: settings.max_open_streams_per_caller,
        },
        calls_per_second: settings.calls_per_second_per_caller,
    }
}

fn jittered(age: Duration) -> Duration {
    age.mul_f64(1.0 - AGE_JITTER + 2.0 * AGE_JITTER * rand::random::<f64>())
}

fn reflection(service_names: &'static [&'static str]) -> tonic_reflection::server::Builder<'static> {
    let builder = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::FILE_DESCRIPTOR_SET)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        // The descriptors hold the other service too: list what is served here only.
        .with_service_name(tonic_health::pb::health_server::SERVICE_NAME);
    service_names.iter().fold(builder, |builder, name| builder.with_service_name(*name))
}
