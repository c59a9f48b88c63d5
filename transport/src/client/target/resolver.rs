//! Looks the target's names up and keeps connections to whatever is behind them.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Weak};

use runtime::tasks::TaskGroup;
use tokio_util::sync::CancellationToken;
use tonic::transport::Endpoint;

use super::address::Address;
use super::addresses::Addresses;
use crate::client::settings::ClientSettings;

/// Ends with its group, or with the last client that uses the addresses.
pub(super) struct Resolver {
    addresses: Weak<Addresses>,
    settings: ClientSettings,
    /// By address, so that connections to an address that stays are kept.
    known: BTreeMap<SocketAddr, Arc<Address>>,
}

impl Resolver {
    pub(super) fn start(addresses: &Arc<Addresses>, settings: &ClientSettings, tasks: &TaskGroup) {
        let resolver =
            Self { addresses: Arc::downgrade(addresses), settings: settings.clone(), known: BTreeMap::new() };
        tasks.spawn(format!("resolver of {}", settings.endpoints), resolver.run(tasks.stop_token()));
    }

    async fn run(mut self, stop: CancellationToken) -> Result<(), Infallible> {
        let mut is_failing = false;
        while let Some(addresses) = self.addresses.upgrade() {
            match self.look_up().await {
                Ok(found) => {
                    is_failing = false;
                    self.adopt(found, &addresses);
                }
                // The addresses that are there stay in use: a resolver that is away must not stop calls.
                Err(error) if !is_failing => {
                    is_failing = true;
                    let target = &self.settings.endpoints;
                    tracing::warn!(server.address = %target, error = %error, "target can't be looked up");
                }
                Err(_) => {}
            }
            drop(addresses);
            tokio::select! {
                () = stop.cancelled() => break,
                () = tokio::time::sleep(self.settings.resolve_interval) => {}
            }
        }
        Ok(())
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

    fn adopt(&mut self, found: BTreeMap<SocketAddr, Endpoint>, addresses: &Addresses) {
        if found.keys().eq(self.known.keys()) {
            return;
        }
        let target = &self.settings.endpoints;
        tracing::info!(server.address = %target, addresses = ?found.keys(), "target's addresses changed");
        self.known = found
            .into_iter()
            .map(|(at, endpoint)| {
                let kept = self.known.remove(&at);
                (at, kept.unwrap_or_else(|| Arc::new(Address::resolved(at, &endpoint, &self.settings))))
            })
            .collect();
        addresses.replace(self.known.values().cloned().collect());
    }
}
