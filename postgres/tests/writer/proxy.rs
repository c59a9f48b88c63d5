//! A connection to Postgres that breaks at the worst moment.

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

/// COMMIT as a simple query.
const COMMIT: &[u8] = b"COMMIT\0";
/// Longer than the writer's pause before it submits again, so that it meets the transaction that is still open.
const LATE: Duration = Duration::from_millis(600);

/// When the connection breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Cut {
    /// The server never hears COMMIT: it rolls back.
    BeforeTheServerHears,
    /// The server has committed; its answer is lost.
    AfterTheServerCommitted,
    /// The caller is cut off at once; the server hears COMMIT later, when the caller has already begun anew.
    BeforeTheServerCommitsLate,
}

/// Forwards to Postgres; the next COMMIT meets the cut that was asked for.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    next: Arc<Mutex<Option<Cut>>>,
    task: AbortHandle,
}

impl Proxy {
    pub(crate) async fn to(target: u16) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let next = Arc::new(Mutex::new(None));
        let cut = Arc::clone(&next);
        let task = tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                let far = TcpStream::connect((Ipv4Addr::LOCALHOST, target)).await.unwrap();
                tokio::spawn(forward(near, far, Arc::clone(&cut)));
            }
        });
        Self { port, next, task: task.abort_handle() }
    }

    /// Cuts the connection of the next COMMIT.
    pub(crate) fn cut_next(&self, cut: Cut) {
        *self.next.lock().unwrap() = Some(cut);
    }

    /// Whether the cut has happened.
    pub(crate) fn has_cut(&self) -> bool {
        self.next.lock().unwrap().is_none()
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn forward(mut near: TcpStream, mut far: TcpStream, next: Arc<Mutex<Option<Cut>>>) {
    let (mut from_near, mut from_far) = (vec![0; 65_536], vec![0; 65_536]);
    loop {
        // Both branches read, which loses nothing when the other is taken.
        tokio::select! {
            read = near.read(&mut from_near) => {
                let Ok(length @ 1..) = read else { return };
                let bytes = &from_near[..length];
                let is_commit = bytes.windows(COMMIT.len()).any(|window| window == COMMIT);
                let cut = if is_commit { next.lock().unwrap().take() } else { None };
                match cut {
                    None => if far.write_all(bytes).await.is_err() { return },
                    Some(Cut::BeforeTheServerHears) => return,
                    Some(Cut::AfterTheServerCommitted) => {
                        far.write_all(bytes).await.unwrap();
                        let answered = far.read(&mut from_far).await.unwrap();
                        assert!(answered > 0, "the server answers COMMIT");
                        return;
                    }
                    Some(Cut::BeforeTheServerCommitsLate) => {
                        drop(near);
                        tokio::time::sleep(LATE).await;
                        far.write_all(bytes).await.unwrap();
                        drop(far.read(&mut from_far).await);
                        return;
                    }
                }
            }
            read = far.read(&mut from_far) => {
                let Ok(length @ 1..) = read else { return };
                if near.write_all(&from_far[..length]).await.is_err() { return }
            }
        }
    }
}
