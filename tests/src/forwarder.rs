//! A door in front of a server that the tests can close.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

use crate::ports;
use crate::waiting::eventually;

/// Forwards a port of its own to a server, while it is open. Closed, it refuses connections and breaks those that there
/// are.
#[derive(Debug)]
pub struct Forwarder {
    /// Where it listens, open or not.
    pub port: u16,
    target: u16,
    open: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// A closed door to `target` on loopback.
    #[must_use]
    pub fn to(target: u16) -> Self {
        Self { port: ports::free(), target, open: None }
    }

    /// Lets connections through.
    ///
    /// # Panics
    /// When somebody else took the port meanwhile.
    pub async fn open(&mut self) {
        let (port, target) = (self.port, self.target);
        let listener =
            eventually(Duration::from_secs(5), async || Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, port)).await?))
                .await;
        self.open = Some(tokio::spawn(async move {
            // Dropped with this task: closing breaks what is open.
            let mut connections = tokio::task::JoinSet::new();
            while let Ok((mut near, _)) = listener.accept().await {
                connections.spawn(async move {
                    let Ok(mut far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
                    drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
                });
            }
        }));
    }

    /// Breaks every connection and refuses new ones.
    pub async fn close(&mut self) {
        if let Some(open) = self.open.take() {
            open.abort();
            drop(open.await);
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.abort();
        }
    }
}
