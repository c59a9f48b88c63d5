//! What the inventory does for its callers, whoever they are: the gRPC methods are thin around it.

mod import;

use observability::propagation::TraceHeaders;
use opentelemetry::Context;
use postgres::{Database, Lookup, LookupError, WriteError, Writer};
use proto::values::{OrderId, Sku};

use crate::domain::ledger::{Command, Outcome};
use crate::domain::reservation::{Closing, RequestedLine, Reservation};
use crate::domain::stock::StockItem;
use crate::store::reads::ItemBySku;
use crate::store::{StockStore, Submitted, reads};

pub use import::{BadRow, Import, ImportSummary};

/// Stock and reservations, as one replica offers them. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Inventory {
    database: Database,
    writer: Writer<StockStore>,
    items: Lookup<ItemBySku>,
}

/// Why there is no outcome.
#[derive(Debug, thiserror::Error)]
pub enum InventoryError {
    /// It could not be written; certainly.
    #[error(transparent)]
    Write(#[from] WriteError),
    /// It could not be read.
    #[error(transparent)]
    Read(#[from] sqlx::Error),
}

impl Inventory {
    /// Over a database, its writer and its lookup.
    #[must_use]
    pub fn new(database: Database, writer: Writer<StockStore>, items: Lookup<ItemBySku>) -> Self {
        Self { database, writer, items }
    }

    /// Holds all lines of an order or none. Repeated, it gives the first outcome.
    ///
    /// # Errors
    /// [`WriteError`]: certainly not written.
    pub async fn reserve(&self, order_id: OrderId, lines: Vec<RequestedLine>) -> Result<Outcome, WriteError> {
        self.write(Command::Reserve { order_id, lines }).await
    }

    /// Ends what is held for an order. Repeated, it gives the first outcome.
    ///
    /// # Errors
    /// [`WriteError`]: certainly not written.
    pub async fn close(&self, order_id: OrderId, closing: Closing) -> Result<Outcome, WriteError> {
        self.write(Command::Close { order_id, closing }).await
    }

    /// What is held, was held or could not be held for an order.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn reservation(&self, order_id: OrderId) -> Result<Option<Reservation>, sqlx::Error> {
        reads::reservation(&self.database, order_id).await
    }

    /// One SKU.
    ///
    /// # Errors
    /// [`LookupError`].
    pub async fn item(&self, sku: &Sku) -> Result<Option<StockItem>, LookupError> {
        self.items.get(sku.clone()).await
    }

    /// A page of SKUs by name, after `after`, and whether there are more.
    ///
    /// # Errors
    /// Those of the database.
    pub async fn items(&self, after: Option<&Sku>, page: i64) -> Result<(Vec<StockItem>, bool), sqlx::Error> {
        let mut items = reads::items(&self.database, after, page + 1).await?;
        let size = usize::try_from(page).unwrap_or(usize::MAX);
        let more = items.len() > size;
        items.truncate(size);
        Ok((items, more))
    }

    /// Begins an import.
    #[must_use]
    pub fn import(&self) -> Import {
        Import::new(self.clone())
    }

    async fn write(&self, command: Command) -> Result<Outcome, WriteError> {
        let trace = TraceHeaders::of(&Context::current());
        self.writer.submit(Submitted { command, trace }).await
    }
}
