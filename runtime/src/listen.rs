//! Binding an address, with an error that an operator can act on.

use std::io;
use std::net::SocketAddr;

use tokio::net::TcpListener;

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: cannot listen on {address}: {cause}")]
pub struct BindError {
    variable: &'static str,
    address: SocketAddr,
    cause: io::Error,
}

/// Listens on `address`; port 0 takes a free one, which the listener's `local_addr` tells. `variable` is the setting
/// that `address` came from.
///
/// # Errors
/// When the address is in use, not of this machine, or not allowed; the error names `variable` and `address`.
pub async fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    TcpListener::bind(address).await.map_err(|cause| BindError { variable, address, cause })
}
