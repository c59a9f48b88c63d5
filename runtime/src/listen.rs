//! Binding an address, with an error that an operator can act on.

use std::fmt;
use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use tokio::net::{TcpListener, UnixListener, UnixStream};

/// Where calls are accepted: `HOST:PORT` with a numeric host, or `unix:PATH`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ListenAddress {
    /// An address of this machine; port 0 takes a free one.
    Tcp(SocketAddr),
    /// A Unix socket, for callers on the same machine.
    Unix(PathBuf),
}

/// What is bound.
#[derive(Debug)]
pub enum Listener {
    /// To an address of this machine.
    Tcp(TcpListener),
    /// To a path. The file stays when this is dropped; the next start replaces it.
    Unix(UnixListener),
}

/// An address that can't be listened on.
#[derive(Debug, thiserror::Error)]
#[error("{variable}: cannot listen on {address}: {cause}")]
pub struct BindError {
    variable: &'static str,
    address: ListenAddress,
    cause: io::Error,
}

impl FromStr for ListenAddress {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        match text.strip_prefix("unix:") {
            Some("") => Err(()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(drop),
        }
    }
}

impl fmt::Display for ListenAddress {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(formatter),
            Self::Unix(path) => write!(formatter, "unix:{}", path.display()),
        }
    }
}

/// Listens on `address`; port 0 takes a free one, which the listener's `local_addr` tells. `variable` is the setting
/// that `address` came from.
///
/// # Errors
/// When the address is in use, not of this machine, or not allowed; the error names `variable` and `address`.
pub async fn bind(variable: &'static str, address: SocketAddr) -> Result<TcpListener, BindError> {
    let failed = |cause| BindError { variable, address: ListenAddress::Tcp(address), cause };
    TcpListener::bind(address).await.map_err(failed)
}

/// The same for either kind of address. A socket that a process left behind is replaced, one on which somebody listens
/// is in use.
///
/// # Errors
/// As of [`bind`]; and a file that is no socket is not touched.
pub async fn bind_any(variable: &'static str, address: &ListenAddress) -> Result<Listener, BindError> {
    match address {
        ListenAddress::Tcp(address) => bind(variable, *address).await.map(Listener::Tcp),
        ListenAddress::Unix(path) => {
            let failed = |cause| BindError { variable, address: address.clone(), cause };
            bind_unix(path).await.map(Listener::Unix).map_err(failed)
        }
    }
}

async fn bind_unix(path: &Path) -> io::Result<UnixListener> {
    let is_socket = fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket());
    if is_socket {
        match UnixStream::connect(path).await {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => fs::remove_file(path)?,
            Ok(_) | Err(_) => return Err(io::ErrorKind::AddrInUse.into()),
        }
    }
    UnixListener::bind(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_alike() {
        for text in ["127.0.0.1:50051", "[::]:1", "unix:/run/orders.sock", "unix:orders.sock"] {
            assert_eq!(text.parse::<ListenAddress>().unwrap().to_string(), text);
        }
        for wrong in ["", "unix:", "localhost:1", "127.0.0.1", "/run/orders.sock"] {
            assert!(wrong.parse::<ListenAddress>().is_err(), "{wrong}");
        }
    }

    #[tokio::test]
    async fn socket_that_nobody_has_is_replaced_and_nothing_else() {
        let folder = std::env::temp_dir().join(format!("listen-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let address = ListenAddress::Unix(folder.join("socket"));
        let listener = bind_any("X", &address).await.unwrap();
        let error = bind_any("X", &address).await.unwrap_err().to_string();
        assert!(error.starts_with("X: cannot listen on unix:/") && error.contains("in use"), "{error}");
        drop(listener);
        bind_any("X", &address).await.unwrap();
        let file = folder.join("file");
        fs::write(&file, "mine").unwrap();
        bind_any("X", &ListenAddress::Unix(file.clone())).await.unwrap_err();
        assert_eq!(fs::read_to_string(file).unwrap(), "mine");
        fs::remove_dir_all(folder).unwrap();
    }
}
