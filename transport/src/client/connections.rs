//! Connections to every address of a target, calls spread over them in turn.
//!
//! A tonic channel is one connection and stays with one address: hence several, and new ones when a name's addresses
//! change. A channel connects by itself when it is first used and again after it broke.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, PoisonError, RwLock, Weak};
use std::task::{Context, Poll};

use http::{Request, Response, Uri};
use tokio::task::AbortHandle;
use tonic::Status;
use tonic::body::Body;
use tonic::transport::{Channel, Endpoint};
use tower::{Service, ServiceExt as _};

use super::endpoints::HostAndPort;
use super::settings::ClientSettings;
use crate::call::Answer;

/// As on the server's side.
const STREAM_WINDOW: u32 = 256 * 1_024;
const CONNECTION_WINDOW: u32 = 1_024 * 1_024;

/// The innermost layer: takes the next channel. A failure to connect or to transport becomes a status.
#[derive(Clone)]
pub(crate) struct Connections(Arc<Shared>);

struct Shared {
    pool: Arc<Pool>,
    resolver: Option<AbortHandle>,
}

/// The channels in use, and whose turn it is.
struct Pool {
    channels: RwLock<Vec<Channel>>,
    next: AtomicUsize,
}

impl Connections {
    pub(super) fn open(settings: &ClientSettings) -> Self {
        let addresses = settings.endpoints.addresses();
        // Until names are looked up for the first time, a channel looks its own up: the first call need not wait.
        let channels = addresses.iter().flat_map(|address| channels(&address.endpoint, settings)).collect();
        let pool = Arc::new(Pool { channels: RwLock::new(channels), next: AtomicUsize::new(0) });
        let resolver = addresses.iter().any(HostAndPort::is_name).then(|| {
            let resolver = Resolver { pool: Arc::downgrade(&pool), settings: settings.clone(), known: BTreeMap::new() };
            tokio::spawn(resolver.run()).abort_handle()
        });
        Self(Arc::new(Shared { pool, resolver }))
    }
}

/// The task ends with the last client that uses its channels.
impl Drop for Shared {
    fn drop(&mut self) {
        if let Some(resolver) = &self.resolver {
            resolver.abort();
        }
    }
}

impl Service<Request<Body>> for Connections {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Answer;

    fn poll_ready(&mut self, _context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        // Which channel is asked is decided call by call.
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let channel = self.0.pool.take_turn();
        Box::pin(async move {
            let Some(channel) = channel else {
                return Ok(Status::unavailable("the target has no address").into_http());
            };
            Ok(match channel.oneshot(request).await {
                Ok(response) => response,
                Err(error) => Status::from_error(error.into()).into_http(),
            })
        })
    }
}

impl Pool {
    fn take_turn(&self) -> Option<Channel> {
        let channels = self.channels.read().unwrap_or_else(PoisonError::into_inner);
        let turn = self.next.fetch_add(1, Ordering::Relaxed);
        channels.get(turn.checked_rem(channels.len())?).cloned()
    }

    fn replace(&self, channels: Vec<Channel>) {
        *self.channels.write().unwrap_or_else(PoisonError::into_inner) = channels;
    }
}

/// Looks names up and opens channels to what is behind them.
struct Resolver {
    pool: Weak<Pool>,
    settings: ClientSettings,
    /// By address, so that connections to an address that stays are kept.
    known: BTreeMap<SocketAddr, Vec<Channel>>,
}

impl Resolver {
    async fn run(mut self) {
        let mut is_failing = false;
        loop {
            match self.look_up().await {
                Ok(found) => {
                    is_failing = false;
                    self.adopt(found);
                }
                // The channels that are there stay in use: a resolver that is away must not stop calls.
                Err(error) if !is_failing => {
                    is_failing = true;
                    let target = &self.settings.endpoints;
                    tracing::warn!(server.address = %target, error = %error, "target can't be looked up");
                }
                Err(_) => {}
            }
            tokio::time::sleep(self.settings.resolve_interval).await;
        }
    }

    /// Every address of every name of the target, with the endpoint it belongs to.
    async fn look_up(&self) -> io::Result<BTreeMap<SocketAddr, Endpoint>> {
        let mut found = BTreeMap::new();
        for address in self.settings.endpoints.addresses() {
            let host = address.host.trim_matches(['[', ']']);
            for resolved in tokio::net::lookup_host((host, address.port)).await? {
                found.insert(resolved, address.endpoint.clone());
            }
        }
        if found.is_empty() { Err(io::Error::other("no address")) } else { Ok(found) }
    }

    fn adopt(&mut self, found: BTreeMap<SocketAddr, Endpoint>) {
        if found.keys().eq(self.known.keys()) {
            return;
        }
        let Some(pool) = self.pool.upgrade() else { return };
        let target = &self.settings.endpoints;
        tracing::info!(server.address = %target, addresses = ?found.keys(), "target's addresses changed");
        self.known = found
            .into_iter()
            .map(|(address, endpoint)| {
                let kept = self.known.remove(&address);
                (address, kept.unwrap_or_else(|| channels(&at(address, &endpoint), &self.settings).collect()))
            })
            .collect();
        // In turn over the addresses, not over the connections of one address after the other.
        let rounds =
            (0..self.settings.connections).flat_map(|round| self.known.values().filter_map(move |all| all.get(round)));
        pool.replace(rounds.cloned().collect());
    }
}

/// The same endpoint at one of its addresses; `:authority` still says its name.
fn at(address: SocketAddr, endpoint: &Endpoint) -> Endpoint {
    let uri = Uri::builder().scheme("http").authority(address.to_string()).path_and_query("/").build();
    let uri = uri.expect("an address and a port are an authority");
    Endpoint::from(uri).origin(endpoint.uri().clone())
}

fn channels(endpoint: &Endpoint, settings: &ClientSettings) -> impl Iterator<Item = Channel> + use<> {
    let endpoint = endpoint
        .clone()
        .connect_timeout(settings.connect_timeout)
        .tcp_nodelay(true)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .http2_keep_alive_interval(settings.keepalive_interval)
        .keep_alive_timeout(settings.keepalive_timeout)
        .keep_alive_while_idle(true);
    (0..settings.connections).map(move |_| endpoint.connect_lazy())
}
