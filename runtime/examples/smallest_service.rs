//! The smallest service that [`runtime::bootstrap::run`] can run: `grpc.health.v1` and nothing else. `FAULT` makes it
//! misbehave, to see what the runtime does then; the tests of this crate do.

use std::convert::Infallible;
use std::future::pending;
use std::net::SocketAddr;
use std::process::ExitCode;
use std::str::FromStr;
use std::time::Duration;

use runtime::bootstrap::{self, RuntimeHandle, Service, StartError};
use runtime::health::{Impact, Serving};
use runtime::settings::SettingsReader;
use runtime::tasks::TaskGroup;
use tokio_stream::wrappers::TcpListenerStream;
use tonic_health::ServingStatus;

struct SmallestService {
    listener: TaskGroup,
    background: TaskGroup,
    fault: Fault,
}

struct Settings {
    grpc_listen: SocketAddr,
    fault: Fault,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Fault {
    None,
    StartPanics,
    TaskFails,
    TaskIsDeaf,
    DrainHangs,
}

impl FromStr for Fault {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "none" => Ok(Self::None),
            "start-panics" => Ok(Self::StartPanics),
            "task-fails" => Ok(Self::TaskFails),
            "task-is-deaf" => Ok(Self::TaskIsDeaf),
            "drain-hangs" => Ok(Self::DrainHangs),
            _ => Err("not a fault"),
        }
    }
}

impl Service for SmallestService {
    const NAME: &'static str = "smallest-service";
    const ABOUT: &'static str = "Serves grpc.health.v1 and nothing else.";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");
    const GRPC_LISTEN: &'static str = "127.0.0.1:50059";
    const ADMIN_LISTEN: &'static str = "127.0.0.1:9459";
    const HTTP_LISTEN: &'static str = "127.0.0.1:8059";
    type Settings = Settings;

    fn read_settings(reader: &mut SettingsReader) -> Settings {
        reader.required_secret("DATABASE_URL", "postgres://user:password@host:port/database");
        Settings {
            grpc_listen: reader.address("GRPC_LISTEN", Self::GRPC_LISTEN, "where the service listens"),
            fault: reader.value("FAULT", "none", "none, start-panics, task-fails, task-is-deaf or drain-hangs"),
        }
    }

    async fn start(settings: Settings, runtime: RuntimeHandle) -> Result<Self, StartError> {
        let listener = TaskGroup::new("grpc", &runtime.supervisor);
        let background = TaskGroup::new("background", &runtime.supervisor);
        let socket = runtime::listen::bind("GRPC_LISTEN", settings.grpc_listen).await?;
        tracing::info!(address = %socket.local_addr()?, "grpc listening");

        let (reporter, health_service) = tonic_health::server::health_reporter();
        let mut serving = runtime.health.watch();
        let stop = listener.stop_token();
        listener.spawn("health", async move {
            let follow = async {
                loop {
                    let status = match *serving.borrow_and_update() {
                        Serving::Serving => ServingStatus::Serving,
                        Serving::NotServing => ServingStatus::NotServing,
                    };
                    reporter.set_service_status("", status).await;
                    if serving.changed().await.is_err() {
                        return;
                    }
                }
            };
            stop.run_until_cancelled(follow).await;
            Ok::<_, Infallible>(())
        });
        let stop = listener.stop_token();
        listener.spawn("listener", async move {
            let incoming = TcpListenerStream::new(socket);
            let server = tonic::transport::Server::builder().add_service(health_service);
            server.serve_with_incoming_shutdown(incoming, stop.cancelled()).await
        });
        match settings.fault {
            Fault::None | Fault::DrainHangs => {}
            Fault::StartPanics => panic!("asked to"),
            Fault::TaskFails => background.spawn("broken", async { Err("out of order") }),
            Fault::TaskIsDeaf => background.spawn("deaf", pending::<Result<(), Infallible>>()),
        }
        runtime.health.component("database", Impact::Required).up();
        Ok(Self { listener, background, fault: settings.fault })
    }

    async fn drain(self, limit: Duration) {
        if self.fault == Fault::DrainHangs {
            pending::<()>().await;
        }
        self.listener.stop(limit / 2).await;
        self.background.stop(limit / 2).await;
    }
}

fn main() -> ExitCode {
    bootstrap::run::<SmallestService>(std::env::args_os().skip(1))
}
