//! What an operator can set about calls to another service.

use std::time::Duration;

use runtime::settings::SettingsReader;

use super::endpoints::Endpoints;
use crate::deadline;

/// Settings of the calls to one target.
#[derive(Clone, Debug)]
pub struct ClientSettings {
    /// The target.
    pub endpoints: Endpoints,
    /// Connections to each address: one connection is one task on either side, so one processor at most.
    pub connections: usize,
    /// Time for a connection to come up.
    pub connect_timeout: Duration,
    /// Time between pings, also while nothing is called.
    pub keepalive_interval: Duration,
    /// Time for the answer to a ping, after which the connection is closed.
    pub keepalive_timeout: Duration,
    /// Time between look-ups of the target's host names.
    pub resolve_interval: Duration,
    /// Deadline of a unary call that brings none.
    pub call_timeout: Duration,
}

impl ClientSettings {
    /// Defaults for `endpoints`.
    pub fn new(endpoints: Endpoints) -> Self {
        Self {
            endpoints,
            connections: 2,
            connect_timeout: Duration::from_secs(2),
            keepalive_interval: Duration::from_secs(10),
            keepalive_timeout: Duration::from_secs(5),
            resolve_interval: Duration::from_secs(5),
            call_timeout: deadline::DEFAULT,
        }
    }

    /// Reads INVENTORY_ENDPOINTS and what belongs to it.
    pub fn read_inventory(reader: &mut SettingsReader) -> Self {
        let endpoints = reader.value(
            "INVENTORY_ENDPOINTS",
            "http://127.0.0.1:50052",
            "inventory service: http://host:port,…; a host name is looked up again and again and every address used",
        );
        let settings = Self {
            connections: reader.value(
                "INVENTORY_CONNECTIONS",
                "2",
                "connections to each address of the inventory service",
            ),
            connect_timeout: reader.duration("INVENTORY_CONNECT_TIMEOUT", "2s", "time for a connection to come up"),
            resolve_interval: reader.duration(
                "INVENTORY_RESOLVE_INTERVAL",
                "5s",
                "time between look-ups of host names",
            ),
            ..Self::new(endpoints)
        };
        if settings.connections == 0 {
            reader.reject("INVENTORY_CONNECTIONS", "0 connections can't carry a call".to_owned());
        }
        if settings.resolve_interval.is_zero() {
            reader.reject("INVENTORY_RESOLVE_INTERVAL", "look-ups need time between them".to_owned());
        }
        settings
    }
}
