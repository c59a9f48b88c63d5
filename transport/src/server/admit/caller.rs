//! Who makes a call.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::Arc;

use http::{HeaderMap, Request};
use tonic::body::Body;
use tonic::transport::server::TcpConnectInfo;

/// Who was authenticated. Handlers find it in a request's extensions.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Principal(Arc<str>);

/// The credentials of a call are missing or not valid. Why, is not for its caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("credentials are missing or not valid")]
pub struct NotAuthenticated;

/// How callers are authenticated. By default not at all: everyone may call and nobody is known.
#[derive(Clone, Default)]
pub struct Authentication(Option<Arc<Check>>);

type Check = dyn Fn(&HeaderMap) -> Result<Option<Principal>, NotAuthenticated> + Send + Sync;

/// Whose calls are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Caller {
    Principal(Principal),
    /// An address, or the network of one: whoever has one IPv6 address has 2⁶⁴ of them.
    Network(IpAddr),
    /// A process of this machine, over a Unix socket.
    Local,
}

impl Principal {
    /// The authenticated party of that name.
    pub fn new(name: &str) -> Self {
        Self(name.into())
    }

    /// The name.
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl Authentication {
    /// `check` is asked for each call, with its metadata, before anything else is done; it must not block. It answers
    /// who calls, nobody in particular, or that the call is refused with UNAUTHENTICATED.
    pub fn by(
        check: impl Fn(&HeaderMap) -> Result<Option<Principal>, NotAuthenticated> + Send + Sync + 'static,
    ) -> Self {
        Self(Some(Arc::new(check)))
    }

    pub(super) fn check(&self, headers: &HeaderMap) -> Result<Option<Principal>, NotAuthenticated> {
        self.0.as_ref().map_or(Ok(None), |check| check(headers))
    }
}

impl fmt::Debug for Authentication {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(if self.0.is_some() { "Authentication(by a check)" } else { "Authentication(none)" })
    }
}

impl Caller {
    /// The principal in the extensions, or else the peer's address.
    pub(super) fn of(request: &Request<Body>) -> Self {
        let extensions = request.extensions();
        if let Some(principal) = extensions.get::<Principal>() {
            return Self::Principal(principal.clone());
        }
        let address = extensions.get::<TcpConnectInfo>().and_then(TcpConnectInfo::remote_addr);
        address.map_or(Self::Local, |address| Self::Network(network(address.ip())))
    }
}

fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_one_ipv6_network_are_one_caller() {
        let of = |text: &str| network(text.parse().unwrap());
        assert_eq!(of("2001:db8:1:2::1"), of("2001:db8:1:2:ffff::9"));
        assert_ne!(of("2001:db8:1:2::1"), of("2001:db8:1:3::1"));
        assert_eq!(of("::ffff:192.0.2.1"), of("192.0.2.1"));
        assert_ne!(of("192.0.2.1"), of("192.0.2.2"));
    }
}
