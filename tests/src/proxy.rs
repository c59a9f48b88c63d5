//! A proxy in front of a server, and what can go wrong on the way there and back.

use std::net::Ipv4Addr;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::ports;
use crate::waiting::eventually;

const CHUNK: usize = 16 * 1_024;

/// Forwards a port of its own to a server, while it is open.
#[derive(Debug)]
pub struct Proxy {
    /// Where it listens, open or not.
    pub port: u16,
    target: u16,
    weather: watch::Sender<Weather>,
    /// Counts up with every cut.
    cuts: watch::Sender<u64>,
    open: Option<JoinHandle<()>>,
}

/// What happens to bytes on their way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Weather {
    /// They arrive.
    #[default]
    Clear,
    /// They arrive later.
    Delayed(Way, Duration),
    /// They do not arrive as long as this lasts, and nobody is told; what is still wanted then goes on, as after a network
    /// that lost packets. New connections are taken.
    BlackHole(Way),
}

/// Which of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// All.
    Both,
    /// Those to the server.
    ToServer,
    /// Those to the client.
    ToClient,
}

impl Proxy {
    /// A closed proxy to `target` on loopback.
    #[must_use]
    pub fn to(target: u16) -> Self {
        let (weather, cuts) = (watch::Sender::new(Weather::Clear), watch::Sender::new(0));
        Self { port: ports::free(), target, weather, cuts, open: None }
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
        let (weather, cuts) = (self.weather.clone(), self.cuts.clone());
        self.open = Some(tokio::spawn(async move {
            // Dropped with this task: closing breaks what is open.
            let mut connections = JoinSet::new();
            while let Ok((near, _)) = listener.accept().await {
                while connections.try_join_next().is_some() {}
                let (weather, mut cut) = (weather.subscribe(), cuts.subscribe());
                connections.spawn(async move {
                    tokio::select! {
                        () = forward(near, target, weather) => {}
                        _ = cut.changed() => {}
                    }
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

    /// Breaks every connection; new ones are taken.
    pub fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }

    /// Changes what happens to bytes, from now on.
    pub fn set(&self, weather: Weather) {
        self.weather.send_replace(weather);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(open) = &self.open {
            open.abort();
        }
    }
}

async fn forward(near: TcpStream, target: u16, weather: watch::Receiver<Weather>) {
    let Ok(far) = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await else { return };
    for stream in [&near, &far] {
        stream.set_nodelay(true).ok();
    }
    let ((from_client, to_client), (from_server, to_server)) = (near.into_split(), far.into_split());
    // Either side's end is passed on, and the other way goes on.
    tokio::join!(
        pass(from_client, to_server, Way::ToServer, weather.clone()),
        pass(from_server, to_client, Way::ToClient, weather),
    );
}

async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    way: Way,
    mut weather: watch::Receiver<Weather>,
) {
    let mut bytes = vec![0; CHUNK];
    while let Ok(length @ 1..) = from.read(&mut bytes).await {
        loop {
            let now = *weather.borrow_and_update();
            match now {
                Weather::BlackHole(which) if which.includes(way) => {
                    if weather.changed().await.is_err() {
                        return;
                    }
                }
                Weather::Delayed(which, delay) if which.includes(way) => {
                    tokio::time::sleep(delay).await;
                    break;
                }
                Weather::Clear | Weather::Delayed(..) | Weather::BlackHole(_) => break,
            }
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            break;
        }
    }
    to.shutdown().await.ok();
}

impl Way {
    fn includes(self, way: Self) -> bool {
        self == Self::Both || self == way
    }
}
