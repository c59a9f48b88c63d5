//! `inventory.v1.InventoryService`: convert, call the use case, convert.

mod convert;
mod errors;
mod parse;

use futures::StreamExt as _;
use proto::inventory::v1 as api;
use proto::inventory::v1::inventory_service_server::InventoryService;
use proto::reasons;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status, Streaming};
use transport::draining::until_draining;
use transport::paging;

use self::errors::{DOMAIN, SKU_TYPE, of_lookup, of_read, of_write};
use crate::use_cases::Inventory;

/// The gRPC face of the [`Inventory`].
#[derive(Debug)]
pub struct InventoryApi {
    inventory: Inventory,
    stop: CancellationToken,
}

impl InventoryApi {
    /// Over the use cases. Imports end when `stop` is cancelled.
    #[must_use]
    pub fn new(inventory: Inventory, stop: CancellationToken) -> Self {
        Self { inventory, stop }
    }
}

#[tonic::async_trait]
impl InventoryService for InventoryApi {
    async fn reserve(&self, request: Request<api::ReserveRequest>) -> Result<Response<api::ReserveResponse>, Status> {
        let (order_id, lines) = parse::reserve(request.into_inner())?;
        observability::spans::set_order(&opentelemetry::Context::current(), &order_id.to_string());
        let outcome = self.inventory.reserve(order_id, lines).await.map_err(of_write)?;
        Ok(Response::new(convert::reserve_response(order_id, outcome)?))
    }

    async fn close_reservation(
        &self,
        request: Request<api::CloseReservationRequest>,
    ) -> Result<Response<api::CloseReservationResponse>, Status> {
        let (order_id, closing) = parse::close(&request.into_inner())?;
        observability::spans::set_order(&opentelemetry::Context::current(), &order_id.to_string());
        let outcome = self.inventory.close(order_id, closing).await.map_err(of_write)?;
        Ok(Response::new(convert::close_response(order_id, outcome)?))
    }

    async fn get_reservation(
        &self,
        request: Request<api::GetReservationRequest>,
    ) -> Result<Response<api::GetReservationResponse>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        let found = self.inventory.reservation(order_id).await.map_err(|error| of_read(&error))?;
        let found = found.ok_or_else(|| errors::reservation_not_found(order_id))?;
        Ok(Response::new(api::GetReservationResponse { reservation: Some(convert::reservation(found)) }))
    }

    async fn get_stock(
        &self,
        request: Request<api::GetStockRequest>,
    ) -> Result<Response<api::GetStockResponse>, Status> {
        let sku = parse::sku(&request.get_ref().sku)?;
        let found = self.inventory.item(&sku).await.map_err(|error| of_lookup(&error))?;
        let found = found.ok_or_else(|| DOMAIN.not_found(reasons::SKU_NOT_FOUND, SKU_TYPE, sku.as_str()))?;
        Ok(Response::new(api::GetStockResponse { item: Some(convert::item(found)) }))
    }

    async fn list_stock(
        &self,
        request: Request<api::ListStockRequest>,
    ) -> Result<Response<api::ListStockResponse>, Status> {
        let (page_size, after) = parse::list(request.get_ref())?;
        let listed = self.inventory.items(after.as_ref(), page_size).await;
        let (items, more) = listed.map_err(|error| of_read(&error))?;
        let last = items.last().filter(|_| more).map(|item| paging::encode_token(item.sku.as_str()));
        let items = items.into_iter().map(convert::item).collect();
        Ok(Response::new(api::ListStockResponse { items, next_page_token: last.unwrap_or_default() }))
    }

    async fn import_stock(
        &self,
        request: Request<Streaming<api::ImportStockRequest>>,
    ) -> Result<Response<api::ImportStockResponse>, Status> {
        let mut rows = until_draining(request.into_inner(), self.stop.clone(), DOMAIN);
        let mut import = self.inventory.import();
        let mut import_id = None;
        while let Some(row) = rows.next().await {
            let row = row?;
            let import_id = parse::import_id(&mut import_id, &row)?;
            match parse::row(import_id, row) {
                Ok(row) => import.row(row).await.map_err(of_write)?,
                Err(bad) => import.bad_row(bad),
            }
        }
        let summary = import.finish().await.map_err(of_write)?;
        Ok(Response::new(convert::import_response(summary)))
    }
}
