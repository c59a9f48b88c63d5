//! `orders.v1.OrderService`: convert, call the use case, convert.

mod convert;
mod errors;
mod parse;
mod streams;

use observability::spans;
use opentelemetry::Context;
use proto::orders::v1 as api;
use proto::orders::v1::order_service_server::OrderService;
use tokio_util::sync::CancellationToken;
use tonic::metadata::MetadataValue;
use tonic::{Request, Response, Status, Streaming};
use transport::deadline::Deadline;
use transport::paging;

use self::errors::{of_lookup, of_move, of_place, of_read, order_not_found};
use self::streams::{PlaceOrdersStream, WatchOrderStream};
use crate::use_cases::Orders;

/// The gRPC face of [`Orders`].
#[derive(Debug)]
pub struct OrderApi {
    orders: Orders,
    stop: CancellationToken,
}

impl OrderApi {
    /// Over the use cases. Streams end when `stop` is cancelled.
    #[must_use]
    pub fn new(orders: Orders, stop: CancellationToken) -> Self {
        Self { orders, stop }
    }
}

#[tonic::async_trait]
impl OrderService for OrderApi {
    type WatchOrderStream = WatchOrderStream;
    type PlaceOrdersStream = PlaceOrdersStream;

    async fn place_order(
        &self,
        request: Request<api::PlaceOrderRequest>,
    ) -> Result<Response<api::PlaceOrderResponse>, Status> {
        let deadline = Deadline::of(&request);
        let placement = parse::place(request.into_inner())?;
        let placed = self.orders.place(placement, deadline).await.map_err(of_place)?;
        let mut response = Response::new(api::PlaceOrderResponse { order: Some(convert::order(placed.order)) });
        if placed.replayed {
            let replay = MetadataValue::from_static("true");
            response.metadata_mut().insert(proto::headers::IDEMPOTENT_REPLAY, replay);
        }
        Ok(response)
    }

    async fn get_order(
        &self,
        request: Request<api::GetOrderRequest>,
    ) -> Result<Response<api::GetOrderResponse>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        spans::set_order(&Context::current(), &order_id.to_string());
        let found = self.orders.get(order_id).await.map_err(|error| of_lookup(&error))?;
        let order = found.ok_or_else(|| order_not_found(order_id))?;
        Ok(Response::new(api::GetOrderResponse { order: Some(convert::order(order)) }))
    }

    async fn list_orders(
        &self,
        request: Request<api::ListOrdersRequest>,
    ) -> Result<Response<api::ListOrdersResponse>, Status> {
        let (filter, page_size) = parse::list(request.get_ref())?;
        let page = self.orders.list(&filter, page_size).await.map_err(|error| of_read(&error))?;
        let next_page_token = page.next_before.map(|order_id| paging::encode_token(&order_id.to_string()));
        let orders = page.orders.into_iter().map(convert::order).collect();
        Ok(Response::new(api::ListOrdersResponse { orders, next_page_token: next_page_token.unwrap_or_default() }))
    }

    async fn cancel_order(
        &self,
        request: Request<api::CancelOrderRequest>,
    ) -> Result<Response<api::CancelOrderResponse>, Status> {
        let (order_id, note) = parse::cancel(request.into_inner())?;
        let order = self.orders.cancel(order_id, note).await.map_err(|error| of_move(order_id, error))?;
        Ok(Response::new(api::CancelOrderResponse { order: Some(convert::order(order)) }))
    }

    async fn fulfill_order(
        &self,
        request: Request<api::FulfillOrderRequest>,
    ) -> Result<Response<api::FulfillOrderResponse>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        let order = self.orders.fulfill(order_id).await.map_err(|error| of_move(order_id, error))?;
        Ok(Response::new(api::FulfillOrderResponse { order: Some(convert::order(order)) }))
    }

    async fn watch_order(
        &self,
        request: Request<api::WatchOrderRequest>,
    ) -> Result<Response<WatchOrderStream>, Status> {
        let order_id = parse::order_id(&request.get_ref().order_id)?;
        spans::set_order(&Context::current(), &order_id.to_string());
        let after_version = request.get_ref().after_version;
        let watched = self.orders.watch(order_id, after_version).await.map_err(|error| of_lookup(&error))?;
        let versions = watched.ok_or_else(|| order_not_found(order_id))?;
        Ok(Response::new(streams::watch(versions, self.stop.clone())))
    }

    async fn place_orders(
        &self,
        request: Request<Streaming<api::PlaceOrdersRequest>>,
    ) -> Result<Response<PlaceOrdersStream>, Status> {
        let deadline = Deadline::of_stream(&request);
        let (orders, stop) = (self.orders.clone(), self.stop.clone());
        Ok(Response::new(streams::place(orders, request.into_inner(), deadline, stop)))
    }
}
