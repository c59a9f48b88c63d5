//! Ports on loopback.

use std::collections::hash_map::RandomState;
use std::hash::{BuildHasher, Hasher};
use std::net::{Ipv4Addr, TcpListener};

use anyhow::{Result, bail};

/// The ports to listen on, all on 127.0.0.1. `None` takes a free one.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Ports {
    /// Postgres over TCP (it also listens on a unix socket).
    pub postgres: Option<u16>,
    /// Kafka's clients.
    pub kafka: Option<u16>,
    /// OTLP over gRPC.
    pub otlp: Option<u16>,
    /// Jaeger's query API over HTTP.
    pub jaeger_query: Option<u16>,
}

impl Ports {
    /// The ports that each server has by custom: 5432, 9092, 4317, 16686.
    pub fn customary() -> Self {
        Self { postgres: Some(5432), kafka: Some(9092), otlp: Some(4317), jaeger_query: Some(16686) }
    }
}

/// Below the ports that systems hand out to outgoing connections (Linux from 32768, macOS from 49152). From among
/// those, a client that keeps connecting while the server restarts can be given the server's own port, reach itself
/// by it and so keep the server out.
const CHOICE: std::ops::Range<u16> = 15_000..32_000;

/// The requested port if it is free, or any free one.
///
/// # Errors
/// The requested port is taken, or no free one was found.
pub(crate) fn choose(requested: Option<u16>, what: &str) -> Result<u16> {
    if let Some(port) = requested {
        if !is_free(port) {
            bail!("port {port} for {what} is taken: stop the program that listens there, or choose another port");
        }
        return Ok(port);
    }
    for _ in 0..1000 {
        let offset = RandomState::new().build_hasher().finish() % u64::from(CHOICE.end - CHOICE.start);
        let port = CHOICE.start + u16::try_from(offset).expect("the offset is below a u16");
        if is_free(port) {
            return Ok(port);
        }
    }
    bail!("no free port on 127.0.0.1 for {what}")
}

fn is_free(port: u16) -> bool {
    TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taken_port_is_refused_by_number() {
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = taken.local_addr().unwrap().port();
        let error = choose(Some(port), "Kafka").unwrap_err().to_string();
        assert!(error.contains(&port.to_string()) && error.contains("Kafka"), "{error}");
    }

    #[test]
    fn free_port_is_outside_the_range_of_outgoing_connections() {
        assert!(CHOICE.contains(&choose(None, "Kafka").unwrap()));
    }
}
