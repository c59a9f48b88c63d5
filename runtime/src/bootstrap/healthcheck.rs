//! Asks the service on this machine whether it is serving: for containers that have no shell and no client.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

use tonic::transport::Endpoint;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use super::{EXIT_CONFIG, Service, StartError, with_causes};
use crate::listen::ListenAddress;
use crate::settings::SettingsReader;

/// A service that needs longer than this for an answer without any work is not well.
const LIMIT: Duration = Duration::from_secs(3);

/// Exit code 0 when SERVING; else 1 and a line that says why.
pub(super) fn run<S: Service>(mut reader: SettingsReader) -> ExitCode {
    // The only setting that matters here: the others may be missing in the shell that this runs in.
    let listen = reader.listen_address("GRPC_LISTEN", S::GRPC_LISTEN, "where the service listens");
    if let Err(errors) = reader.finish_some() {
        eprintln!("{errors}");
        return ExitCode::from(EXIT_CONFIG);
    }
    let target = reachable(&listen);
    match check(&target) {
        Ok(ServingStatus::Serving) => ExitCode::SUCCESS,
        Ok(status) => {
            eprintln!("{} at {target} is {}", S::NAME, status.as_str_name());
            ExitCode::FAILURE
        }
        Err(error) => {
            eprintln!("{} at {target} does not answer: {}", S::NAME, with_causes(&*error));
            ExitCode::FAILURE
        }
    }
}

/// Where a listener on `listen` can be reached from its own machine: all addresses include loopback.
fn reachable(listen: &ListenAddress) -> String {
    let listen = match listen {
        ListenAddress::Tcp(listen) => listen,
        ListenAddress::Unix(_) => return listen.to_string(),
    };
    let address = match listen.ip() {
        IpAddr::V4(any) if any.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(any) if any.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        given @ (IpAddr::V4(_) | IpAddr::V6(_)) => given,
    };
    format!("http://{}", SocketAddr::new(address, listen.port()))
}

fn check(target: &str) -> Result<ServingStatus, StartError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let endpoint = Endpoint::from_shared(target.to_owned())?.connect_timeout(LIMIT).timeout(LIMIT);
        let mut client = HealthClient::new(endpoint.connect().await?);
        // The empty name asks for the server as a whole.
        let answer = client.check(HealthCheckRequest { service: String::new() }).await?;
        Ok(answer.into_inner().status())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn listener_on_all_addresses_is_asked_on_loopback() {
        for (listen, target) in [
            ("0.0.0.0:50051", "http://127.0.0.1:50051"),
            ("[::]:50051", "http://[::1]:50051"),
            ("10.1.2.3:7", "http://10.1.2.3:7"),
            ("unix:/run/orders.sock", "unix:/run/orders.sock"),
        ] {
            assert_eq!(reachable(&listen.parse().unwrap()), target);
        }
    }
}
