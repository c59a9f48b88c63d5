//! What follows a placement in a shop: most orders are fulfilled, some are cancelled, and what runs out is delivered. So a
//! load can go on for days.

use std::ops::Range;
use std::time::Duration;

use proto::inventory::v1::ImportStockRequest;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1::{CancelOrderRequest, FulfillOrderRequest, Order, OrderStatus};
use rand::RngExt as _;
use rand::rngs::SmallRng;
use tokio_stream::Stream;
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use super::connections::{Connections, Orders};
use crate::client;

/// Of ten confirmed orders, those that are fulfilled, and those that are cancelled.
const FULFILLED: Range<u32> = 0..6;
const CANCELLED: Range<u32> = 6..8;
/// Units of a SKU that are delivered when it ran out.
const DELIVERED: i64 = 200;

/// A caller's way into both services.
#[derive(Debug, Clone)]
pub(super) struct Shop {
    pub(super) orders: Connections,
    warehouse: InventoryServiceClient<Channel>,
}

/// The name of a call that failed, and why.
pub(super) type Failed = (&'static str, Status);

impl Shop {
    pub(super) fn new(orders: Connections, warehouse: Channel) -> Self {
        Self { orders, warehouse: InventoryServiceClient::new(warehouse) }
    }

    /// Does with an order what becomes of it.
    ///
    /// # Errors
    /// The call that failed.
    pub(super) async fn follow_up(
        &mut self,
        order: Order,
        random: &mut SmallRng,
        timeout: Duration,
    ) -> Result<(), Failed> {
        match order.status() {
            OrderStatus::Rejected => {
                let delivery = client::request(delivery(&order), timeout);
                self.warehouse.import_stock(delivery).await.map_err(|status| ("ImportStock", status))?;
            }
            OrderStatus::Confirmed => {
                let order_id = order.order_id;
                let draw = random.random_range(0..10);
                if FULFILLED.contains(&draw) {
                    let fulfill = |mut orders: Orders, request| async move { orders.fulfill_order(request).await };
                    let message = FulfillOrderRequest { order_id };
                    let sent = self.orders.send(message, |message| client::request(message, timeout), fulfill).await;
                    sent.map_err(|status| ("FulfillOrder", status))?;
                } else if CANCELLED.contains(&draw) {
                    let cancel = |mut orders: Orders, request| async move { orders.cancel_order(request).await };
                    let message = CancelOrderRequest { order_id, note: "no longer wanted".to_owned() };
                    let sent = self.orders.send(message, |message| client::request(message, timeout), cancel).await;
                    sent.map_err(|status| ("CancelOrder", status))?;
                }
            }
            OrderStatus::Unspecified | OrderStatus::Pending | OrderStatus::Cancelled | OrderStatus::Fulfilled => {}
        }
        Ok(())
    }
}

/// Stock for what an order could not get.
fn delivery(order: &Order) -> impl Stream<Item = ImportStockRequest> + Send + 'static {
    let import_id = Uuid::new_v4().to_string();
    let skus: Vec<String> = order.shortages.iter().map(|shortage| shortage.sku.clone()).collect();
    let rows = skus.into_iter().zip(1..).map(move |(sku, row)| ImportStockRequest {
        import_id: import_id.clone(),
        row,
        sku,
        quantity: DELIVERED,
        ..ImportStockRequest::default()
    });
    tokio_stream::iter(rows)
}
