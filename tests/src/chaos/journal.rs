//! What callers have asked for and been promised, on disk before it is asked for: what a customer could hold against us.

use std::collections::HashMap;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, ensure};
use futures::TryStreamExt as _;
use proto::orders::v1::OrderStatus;
use tokio::sync::{mpsc, oneshot};
use uuid::Uuid;

use crate::platform::Platform;
use crate::service::Part;

/// Lines that may wait for the disk.
const QUEUE: usize = 1_024;

/// Appends lines to a file. Cheap to clone; many lines share a sync.
#[derive(Clone, Debug)]
pub struct Journal {
    path: PathBuf,
    lines: mpsc::Sender<(String, oneshot::Sender<()>)>,
}

/// What a caller has asked for, or was told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Entry {
    /// A placement is about to be sent.
    Sent(Uuid),
    /// It was answered with this order, in this status.
    Placed(Uuid, Uuid, OrderStatus),
    /// An order was answered to be cancelled, or fulfilled.
    Ended(Uuid, OrderStatus),
}

/// How many promises were checked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Kept {
    /// Placements that were sent.
    pub sent: usize,
    /// Those that were answered.
    pub placed: usize,
    /// Orders that were told to be cancelled or fulfilled.
    pub ended: usize,
}

/// What was told of one order.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    placed: Option<OrderStatus>,
    ended: Option<OrderStatus>,
}

impl Journal {
    /// Begins a journal.
    ///
    /// # Errors
    /// The file can't be made.
    pub async fn create(path: &Path) -> Result<Self> {
        let mut file = File::create_new(path).with_context(|| format!("can't make {}", path.display()))?;
        let (lines, mut waiting) = mpsc::channel::<(String, oneshot::Sender<()>)>(QUEUE);
        tokio::task::spawn_blocking(move || {
            while let Some(first) = waiting.blocking_recv() {
                let mut batch = vec![first];
                while let Ok(next) = waiting.try_recv() {
                    batch.push(next);
                }
                let text: String = batch.iter().map(|(line, _)| line.as_str()).collect();
                file.write_all(text.as_bytes()).and_then(|()| file.sync_data()).expect("the disk has room");
                for (_, written) in batch {
                    // Whoever does not wait for the disk has gone.
                    written.send(()).ok();
                }
            }
        });
        Ok(Self { path: path.to_owned(), lines })
    }

    /// Writes an entry, and returns once it is on disk.
    ///
    /// # Panics
    /// When it can't be written.
    pub async fn write(&self, entry: Entry) {
        let (written, is_written) = oneshot::channel();
        self.lines.send((entry.line(), written)).await.expect("the journal is open");
        is_written.await.expect("the journal is open");
    }

    /// I1, for everybody who was told something: each answered placement is there under its own id, each request made
    /// one order at most, nobody of `customer` has an order that was not asked for, and no order has become what
    /// contradicts an answer.
    ///
    /// # Errors
    /// A promise was not kept.
    pub async fn check(&self, platform: &Platform, customer: &str) -> Result<Kept> {
        let mut requests: HashMap<Uuid, Option<Uuid>> = HashMap::new();
        let mut told: HashMap<Uuid, Told> = HashMap::new();
        let mut kept = Kept::default();
        for line in fs::read_to_string(&self.path)?.lines() {
            match Entry::parse(line).with_context(|| format!("the journal has {line:?}"))? {
                Entry::Sent(request) => {
                    kept.sent += 1;
                    requests.entry(request).or_default();
                }
                Entry::Placed(request, order, status) => {
                    kept.placed += 1;
                    let before = requests.entry(request).or_default().replace(order);
                    ensure!(before.is_none_or(|before| before == order), "{request} was answered with two orders");
                    told.entry(order).or_default().placed = Some(status);
                }
                Entry::Ended(order, status) => {
                    kept.ended += 1;
                    let before = told.entry(order).or_default().ended.replace(status);
                    ensure!(before.is_none_or(|before| before == status), "{order} was told to end in two ways");
                }
            }
        }
        let database = platform.database(Part::Orders);
        let mut rows = sqlx::query_as("select request_id, order_id, status from orders where customer_id = $1")
            .bind(customer)
            .fetch(&database);
        let mut made: HashMap<Uuid, Uuid> = HashMap::new();
        while let Some((request_id, order_id, status)) = rows.try_next().await? {
            let (request_id, order_id, status): (String, Uuid, i16) = (request_id, order_id, status);
            let request_id: Uuid = request_id.parse()?;
            ensure!(requests.contains_key(&request_id), "I1 is broken: nobody asked for {order_id}");
            let status = OrderStatus::try_from(i32::from(status)).context("a status of the contract")?;
            let before = made.insert(request_id, order_id);
            ensure!(before.is_none(), "I1 is broken: {request_id} made two orders");
            if let Some(told) = told.get(&order_id) {
                ensure!(
                    told.allows(status),
                    "I1 is broken: {order_id} is {status:?}, and its caller was told {told:?}"
                );
            }
        }
        for (request, answered) in requests {
            if let Some(order) = answered {
                let there = made.get(&request);
                ensure!(there == Some(&order), "I1 is broken: {request} was answered with {order}; there is {there:?}");
            }
        }
        Ok(kept)
    }
}

impl Told {
    fn allows(self, fate: OrderStatus) -> bool {
        use OrderStatus::{Cancelled, Confirmed, Fulfilled, Pending, Rejected, Unspecified};
        let placed = match self.placed {
            None | Some(Pending) => true,
            Some(Confirmed) => matches!(fate, Confirmed | Cancelled | Fulfilled),
            Some(told @ (Rejected | Cancelled | Fulfilled)) => told == fate,
            Some(Unspecified) => false,
        };
        placed && self.ended.is_none_or(|ended| ended == fate)
    }
}

impl Entry {
    fn line(self) -> String {
        match self {
            Self::Sent(request) => format!("sent {request}\n"),
            Self::Placed(request, order, status) => format!("placed {request} {order} {}\n", status as i32),
            Self::Ended(order, status) => format!("ended {order} {}\n", status as i32),
        }
    }

    fn parse(line: &str) -> Option<Self> {
        let words: Vec<&str> = line.split(' ').collect();
        let status = |word: &str| OrderStatus::try_from(word.parse::<i32>().ok()?).ok();
        match words[..] {
            ["sent", request] => Some(Self::Sent(request.parse().ok()?)),
            ["placed", request, order, told] => {
                Some(Self::Placed(request.parse().ok()?, order.parse().ok()?, status(told)?))
            }
            ["ended", order, told] => Some(Self::Ended(order.parse().ok()?, status(told)?)),
            _ => None,
        }
    }
}
