//! One address of a target, with its connections.
//!
//! A tonic channel is one connection: hence several. It connects by itself when it is first used, and again after it
//! broke.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

use http::Uri;
use tonic::transport::{Channel, Endpoint};

use super::ejection::AddressId;
use crate::client::settings::ClientSettings;

/// As on the server's side.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;

/// Ids are drawn once in a process, so that an address that comes back is a new one.
static LAST_ID: AtomicU64 = AtomicU64::new(0);

/// Where a call can go.
#[derive(Debug)]
pub(in super::super) struct Address {
    pub(super) id: AddressId,
    /// `host:port` or `ip:port`, for people.
    pub(super) name: String,
    connections: Vec<Connection>,
    /// Questions about health don't wait behind calls.
    health: Channel,
    in_flight: AtomicUsize,
}

#[derive(Debug)]
struct Connection {
    channel: Channel,
    in_flight: AtomicUsize,
}

/// A call on its way to an address, counted there until this is dropped.
#[derive(Debug)]
pub(super) struct InFlight {
    pub(super) address: Arc<Address>,
    connection: usize,
}

impl Address {
    /// Prepares connections; the first call makes them.
    pub(super) fn new(name: String, endpoint: &Endpoint, settings: &ClientSettings) -> Self {
        let endpoint = endpoint
            .clone()
            .connect_timeout(settings.connect_timeout)
            .tcp_nodelay(true)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .http2_keep_alive_interval(settings.keepalive_interval)
            .keep_alive_timeout(settings.keepalive_timeout)
            .keep_alive_while_idle(true);
        let connection = |_| Connection { channel: endpoint.connect_lazy(), in_flight: AtomicUsize::new(0) };
        Self {
            id: AddressId(LAST_ID.fetch_add(1, Ordering::Relaxed)),
            name,
            connections: (0..settings.connections).map(connection).collect(),
            health: endpoint.connect_lazy(),
            in_flight: AtomicUsize::new(0),
        }
    }

    /// The endpoint of a name at one of its addresses; `:authority` still says the name.
    pub(super) fn resolved(address: SocketAddr, endpoint: &Endpoint, settings: &ClientSettings) -> Self {
        let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query("/").build();
        let uri = uri.expect("an address and a port are an authority");
        Self::new(address.to_string(), &Endpoint::from(uri).origin(endpoint.uri().clone()), settings)
    }

    /// Calls that are on their way.
    pub(super) fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

    pub(in super::super) fn health(&self) -> Channel {
        self.health.clone()
    }

    /// Takes the connection with the fewest calls on it.
    pub(super) fn begin(self: Arc<Self>) -> (Channel, InFlight) {
        let load = |index: &usize| self.connections[*index].in_flight.load(Ordering::Relaxed);
        let connection = (0..self.connections.len()).min_by_key(load).expect("settings ask for a connection at least");
        let chosen = &self.connections[connection];
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        chosen.in_flight.fetch_add(1, Ordering::Relaxed);
        (chosen.channel.clone(), InFlight { connection, address: self })
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.address.in_flight.fetch_sub(1, Ordering::Relaxed);
        self.address.connections[self.connection].in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}
