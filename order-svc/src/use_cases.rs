//! What the order service does for its callers, whoever they are: the gRPC methods are thin around it.

mod list;
mod place;
mod watch;

use std::sync::Arc;

use observability::propagation::TraceHeaders;
use observability::spans;
use opentelemetry::Context;
use postgres::{Database, LookupError, WriteError, Writer};
use proto::values::OrderId;
use tokio_util::sync::CancellationToken;
use transport::deadline::Deadline;

use crate::admission::Admission;
use crate::domain::decide::Happening;
use crate::domain::ledger::{Command, Outcome};
use crate::domain::order::{Order, Status};
use crate::inventory::{Closing, InventoryClient};
use crate::news::News;
use crate::store::reads::Lookups;
use crate::store::{OrderStore, StoredOrder, Submitted, Written};

pub use list::OrderPage;
pub use place::{PlaceError, Placed, Placement};
pub use watch::WatchedOrder;

/// Orders, as one replica offers them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Orders {
    database: Database,
    writer: Writer<OrderStore>,
    lookups: Lookups,
    admission: Admission,
    inventory: InventoryClient,
    news: Arc<News>,
    stop: CancellationToken,
}

/// Why an order was not moved.
#[derive(Debug, thiserror::Error)]
pub enum MoveError {
    /// It could not be written; certainly.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// There is no such order.
    #[error("no such order")]
    NotFound,
    /// The state machine forbids it.
    #[error("the order is {:?}", .0.status)]
    Forbidden(Box<Order>),
}

impl Orders {
    /// Over a database, its writer and its lookup, the inventory and the news of this replica. `admission` says whether new
    /// orders are taken. When `stop` is cancelled nobody waits for
    /// inventory any more.
    #[must_use]
    pub fn new(
        database: Database,
        writer: Writer<OrderStore>,
        lookups: Lookups,
        admission: Admission,
        inventory: InventoryClient,
        news: Arc<News>,
        stop: CancellationToken,
    ) -> Self {
        Self { database, writer, lookups, admission, inventory, news, stop }
    }

    /// One order.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn get(&self, order_id: OrderId) -> Result<Option<Order>, LookupError> {
        Ok(self.stored(order_id).await?.map(|stored| stored.order))
    }

    /// One order, with the trace of its placement.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn stored(&self, order_id: OrderId) -> Result<Option<StoredOrder>, LookupError> {
        self.lookups.by_id.get(order_id).await
    }

    /// Withdraws an order; its stock is given back by the event. Repeated, it changes nothing.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn cancel(&self, order_id: OrderId, note: String) -> Result<Order, MoveError> {
        self.move_by_request(order_id, Happening::Cancel { note }).await
    }

    /// Ships an order; its stock is taken out by the event. Repeated, it changes nothing.
    ///
    /// # Errors
    /// [`MoveError`].
    pub async fn fulfill(&self, order_id: OrderId) -> Result<Order, MoveError> {
        self.move_by_request(order_id, Happening::Fulfill).await
    }

    /// Takes an unfinished order further: what is left of its life is repeated from where it stands (O4). The sweep's.
    ///
    /// # Errors
    /// Says, for the log, why it did not get any further this time.
    pub async fn drive(&self, unfinished: StoredOrder, deadline: Deadline) -> Result<(), String> {
        let order = unfinished.order;
        let close = async |closing, happening| {
            let closed = self.inventory.close(order.order_id, closing, deadline).await;
            closed.map_err(|status| status.to_string())?;
            self.happen(order.order_id, happening).await.map_err(|error| error.to_string())
        };
        let outcome = match order.status {
            Status::Pending => {
                let reserved = self.inventory.reserve(&order, deadline).await.map_err(|status| status.to_string())?;
                // Cancelled meanwhile, which put it on the list again; or inventory knows of a cancellation that we don't.
                let happening = reserved.ok_or("inventory says that the order was closed")?;
                self.happen(order.order_id, happening).await.map_err(|error| error.to_string())?
            }
            Status::Cancelled => close(Closing::Release, Happening::StockReleased).await?,
            Status::Fulfilled => close(Closing::Ship, Happening::StockShipped).await?,
            // Decided since it was put on the list, which took it off.
            Status::Confirmed | Status::Rejected => return Ok(()),
        };
        match outcome.outcome {
            Outcome::Order { .. } => Ok(()),
            other @ (Outcome::RequestIdReused | Outcome::NotFound | Outcome::Forbidden(_) | Outcome::Impossible(_)) => {
                Err(format!("{other:?}"))
            }
        }
    }

    /// A move that a caller asks for: in a trace of its own, linked to the placement.
    async fn move_by_request(&self, order_id: OrderId, happening: Happening) -> Result<Order, MoveError> {
        let request = Context::current();
        spans::set_order(&request, &order_id.to_string());
        let Written { outcome, placement } = self.happen(order_id, happening).await?;
        spans::link(&request, &placement);
        match outcome {
            Outcome::Order { order, .. } => {
                spans::set_status(&request, order.status.label());
                Ok(*order)
            }
            Outcome::Forbidden(order) => Err(MoveError::Forbidden(order)),
            Outcome::NotFound => Err(MoveError::NotFound),
            outcome @ (Outcome::RequestIdReused | Outcome::Impossible(_)) => {
                tracing::error!(order.id = %order_id, ?outcome, "a move was answered with another command's outcome");
                Err(MoveError::Write(WriteError::Refused))
            }
        }
    }

    async fn happen(&self, order_id: OrderId, happening: Happening) -> Result<Written, WriteError> {
        self.write(Command::Happen { order_id, happening }, None).await
    }

    /// Something happens to an order that the caller has just read.
    async fn happen_to(&self, known: StoredOrder, happening: Happening) -> Result<Written, WriteError> {
        let order_id = known.order.order_id;
        self.write(Command::Happen { order_id, happening }, Some(Box::new(known))).await
    }

    async fn write(&self, command: Command, known: Option<Box<StoredOrder>>) -> Result<Written, WriteError> {
        let trace = TraceHeaders::of(&Context::current());
        self.writer.submit(Submitted { command, trace, known }).await
    }
}
