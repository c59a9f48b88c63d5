//! Replicas with one writer each, which the tests can make stand still in the middle of a batch: what is sent meanwhile
//! gathers behind it and is taken together afterwards.

use anyhow::ensure;
use proto::orders::v1::{ListOrdersRequest, Order};
use tests::gate::{Frozen, Gate};
use tests::patience;
use tests::platform::Platform;
use tests::service::{Part, Service};
use tests::shop::Shop;
use tests::waiting::{eventually, seconds};
use tokio::task::JoinHandle;

pub(crate) const PLACE: &str = "orders.v1.OrderService/PlaceOrder";
pub(crate) const CANCEL: &str = "orders.v1.OrderService/CancelOrder";
pub(crate) const FULFIL: &str = "orders.v1.OrderService/FulfillOrder";
pub(crate) const RESERVE: &str = "inventory.v1.InventoryService/Reserve";

/// With two commands each, and one that holds the others up, they fit into one batch.
pub(crate) const ORDERS: usize = 30;

/// One replica of each service, beside those of the platform.
pub(crate) struct Pair {
    pub(crate) orders: Service,
    pub(crate) inventory: Service,
}

impl Pair {
    pub(crate) async fn start(platform: &Platform) -> Self {
        let mut inventory = platform.replica(Part::Inventory, "inventory-svc-one-writer");
        let mut orders = platform.replica(Part::Orders, "order-svc-one-writer");
        orders.set("INVENTORY_ENDPOINTS", inventory.address());
        for service in [&mut inventory, &mut orders] {
            service.set("DATABASE_WRITE_CONNECTIONS", "1");
            service.start_ready().await;
        }
        Self { orders, inventory }
    }

    pub(crate) fn shop(&self, platform: &Platform) -> Shop {
        Shop { orders: self.orders.orders(), inventory: self.inventory.inventory(), ..platform.shop() }
    }

    pub(crate) async fn stop(mut self) {
        self.orders.stop().await;
        self.inventory.stop().await;
    }
}

/// A writer that waits for a lock, frozen: it does not notice that it waits for too long. The service notices after ten
/// seconds.
pub(crate) struct Standstill {
    gate: Gate,
    frozen: Frozen,
    waiting: JoinHandle<()>,
}

impl Standstill {
    /// Of the writer of orders: it waits for the row of `victim`, which it is about to cancel.
    pub(crate) async fn of_orders(platform: &Platform, shop: &Shop, victim: &str) -> Self {
        let lock = format!("select from orders where order_id = '{victim}' for update");
        let gate = Gate::shut(platform.database(Part::Orders), &lock).await;
        let (shop, victim) = (shop.clone(), victim.to_owned());
        let waiting = tokio::spawn(async move { drop(patience::cancel(&shop, &victim).await) });
        let frozen = gate.freezes_somebody(seconds(10)).await;
        Self { gate, frozen, waiting }
    }

    /// Of the writer of stock: it waits for the row of `sku`, of which it is about to reserve one unit.
    pub(crate) async fn of_stock(platform: &Platform, shop: &Shop, sku: &str) -> Self {
        let lock = format!("select from stock where sku = '{sku}' for update");
        let gate = Gate::shut(platform.database(Part::Inventory), &lock).await;
        let (mut shop, sku) = (shop.clone(), sku.to_owned());
        let waiting = tokio::spawn(async move { drop(shop.place(&[(&sku, 1)]).await) });
        let frozen = gate.freezes_somebody(seconds(10)).await;
        Self { gate, frozen, waiting }
    }

    /// Waits until so many calls of a method are being answered; or until the one that stands still is, and the test has
    /// taken too long.
    pub(crate) async fn gathers(&self, service: &Service, method: &str, calls: usize) {
        eventually(seconds(10), async || {
            let active = service.metrics().await.sum("rpc_server_active_requests", &[("rpc_method", method)]);
            ensure!(active == count(calls) || self.waiting.is_finished(), "{active} calls of {method}");
            Ok(())
        })
        .await;
    }

    /// Lets the writer go on.
    pub(crate) async fn end(self) {
        self.gate.open().await;
        drop(self.frozen);
        self.waiting.await.expect("whoever waited is answered");
    }
}

/// Makes a service's consumers stand still: what goes over gRPC is not overtaken by what goes over Kafka.
pub(crate) async fn stop_consumers(platform: &Platform, of: Part) -> Gate {
    Gate::shut(platform.database(of), "lock table consumer_positions in exclusive mode").await
}

/// Transactions of a replica's writer so far.
pub(crate) async fn transactions(service: &Service, operation: &str) -> f64 {
    service.metrics().await.sum("db_client_operation_duration_seconds_count", &[("db_operation_name", operation)])
}

/// Waits until an order service has got so many answers to Reserve in all.
pub(crate) async fn reserve_is_answered(orders: &Service, times: f64) {
    eventually(seconds(10), async || {
        let answers = reserve_answers(orders).await;
        ensure!(answers >= times, "{answers} of {times} answers from inventory");
        Ok(())
    })
    .await;
}

/// Answers to Reserve that an order service has got so far.
pub(crate) async fn reserve_answers(orders: &Service) -> f64 {
    orders.metrics().await.sum("rpc_client_call_duration_seconds_count", &[("rpc_method", RESERVE)])
}

/// A number of calls as metrics count them.
pub(crate) fn count(calls: usize) -> f64 {
    f64::from(u32::try_from(calls).expect("a test makes few calls"))
}

/// Sends placements that nobody waits for yet.
pub(crate) fn place_all(shop: &Shop, sku: &str) -> Vec<JoinHandle<Order>> {
    let place = |_| {
        let (mut shop, sku) = (shop.clone(), sku.to_owned());
        tokio::spawn(async move { shop.place(&[(&sku, 1)]).await })
    };
    (0..ORDERS).map(place).collect()
}

/// The ids of a customer's orders, once there are [`ORDERS`].
pub(crate) async fn durable(shop: &Shop) -> Vec<String> {
    let customer_id = shop.customer.clone();
    let request = ListOrdersRequest { customer_id, page_size: 500, ..ListOrdersRequest::default() };
    let mut client = shop.orders.clone();
    eventually(seconds(10), async || {
        let orders = client.list_orders(request.clone()).await?.into_inner().orders;
        ensure!(orders.len() == ORDERS, "{} orders are durable", orders.len());
        Ok(orders.into_iter().map(|order| order.order_id).collect())
    })
    .await
}

/// Sends cancellations that nobody waits for yet.
pub(crate) fn cancel_all(shop: &Shop, orders: &[String]) -> Vec<JoinHandle<Order>> {
    let cancel = |order_id: &String| {
        let (shop, order_id) = (shop.clone(), order_id.clone());
        tokio::spawn(async move { patience::cancel(&shop, &order_id).await.expect("it can be cancelled") })
    };
    orders.iter().map(cancel).collect()
}

/// The same shop with a customer for each round.
pub(crate) fn customer_of(shop: &Shop, round: usize) -> Shop {
    Shop { customer: format!("{}-{round}", shop.customer), ..shop.clone() }
}
