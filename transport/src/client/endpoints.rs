//! Where another service is.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use http::Uri;
use tonic::transport::Endpoint;

/// A target: one or more addresses of the same service, `http://host:port,http://host:port`.
#[derive(Clone, Debug)]
pub struct Endpoints(Vec<HostAndPort>);

/// One address of a target.
#[derive(Clone, Debug)]
pub(super) struct HostAndPort {
    pub(super) endpoint: Endpoint,
    pub(super) host: String,
    pub(super) port: u16,
}

/// A target that can't be read.
#[derive(Debug, thiserror::Error)]
pub enum EndpointsError {
    /// There is nothing.
    #[error("no address: write http://HOST:PORT, several with commas between them")]
    Empty,
    /// One of the addresses is of another form.
    #[error("{0:?} is not of the form http://HOST:PORT")]
    Form(String),
}

impl Endpoints {
    pub(super) fn addresses(&self) -> &[HostAndPort] {
        &self.0
    }
}

impl HostAndPort {
    fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let plain = uri.scheme_str() == Some("http")
            && matches!(uri.path(), "" | "/")
            && uri.query().is_none()
            && !uri.authority()?.as_str().contains('@');
        let (host, port) = (uri.host()?.to_owned(), uri.port_u16()?);
        (plain && !host.is_empty() && port != 0).then(|| Self { endpoint: Endpoint::from(uri), host, port })
    }

    /// Whether the host is a name, behind which addresses come and go.
    pub(super) fn is_name(&self) -> bool {
        self.host.trim_matches(['[', ']']).parse::<IpAddr>().is_err()
    }
}

impl FromStr for Endpoints {
    type Err = EndpointsError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let addresses = text
            .split(',')
            .map(str::trim)
            .filter(|address| !address.is_empty())
            .map(|address| HostAndPort::parse(address).ok_or_else(|| EndpointsError::Form(address.to_owned())))
            .collect::<Result<Vec<_>, _>>()?;
        if addresses.is_empty() { Err(EndpointsError::Empty) } else { Ok(Self(addresses)) }
    }
}

/// As in the label `server_address`: `host:port,host:port`.
impl fmt::Display for Endpoints {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, address) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { "," };
            write!(formatter, "{separator}{}:{}", address.host, address.port)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_is_a_list_of_hosts_and_ports() {
        let target: Endpoints = "http://inventory:50052, http://127.0.0.1:1/,http://[::1]:2,".parse().unwrap();
        assert_eq!(target.to_string(), "inventory:50052,127.0.0.1:1,[::1]:2");
        let names: Vec<_> = target.addresses().iter().map(HostAndPort::is_name).collect();
        assert_eq!(names, [true, false, false]);
    }

    #[test]
    fn anything_else_is_refused() {
        for text in
            ["", ",", "inventory:50052", "https://a:1", "http://a", "http://a:0", "http://a:1/x", "http://u@a:1"]
        {
            assert!(text.parse::<Endpoints>().is_err(), "{text}");
        }
    }
}
