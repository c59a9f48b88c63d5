//! A caller of both services.

use proto::google::r#type::Money;
use proto::inventory::v1 as inventory;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::orders::v1 as orders;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{Order, OrderStatus};
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use crate::waiting::{eventually, seconds};

/// Calls the services as one customer, with SKUs that no other test has. Its methods panic when a call fails; tests of
/// failures use the clients.
#[derive(Clone, Debug)]
pub struct Shop {
    /// The order service.
    pub orders: OrderServiceClient<Channel>,
    /// The inventory service.
    pub inventory: InventoryServiceClient<Channel>,
    /// Whose orders they are.
    pub customer: String,
    /// Unique, for names.
    pub mark: String,
}

impl Shop {
    pub(crate) fn new(orders: OrderServiceClient<Channel>, inventory: InventoryServiceClient<Channel>) -> Self {
        let mark = Uuid::new_v4().simple().to_string();
        Self { orders, inventory, customer: format!("customer-{mark}"), mark }
    }

    /// A SKU of this shop, called `name`, with `units` in stock at `price` (units, nanos) in euros.
    pub async fn stocked(&mut self, name: &str, units: i64, price: (i64, i32)) -> String {
        self.stocked_in("EUR", name, units, price).await
    }

    /// The same in another currency.
    pub async fn stocked_in(&mut self, currency: &str, name: &str, units: i64, price: (i64, i32)) -> String {
        let sku = self.sku(name);
        let row = inventory::ImportStockRequest {
            import_id: Uuid::new_v4().to_string(),
            row: 1,
            sku: sku.clone(),
            name: format!("a {name}"),
            unit_price: Some(money(currency, price.0, price.1)),
            quantity: units,
        };
        let imported = self.import(vec![row]).await;
        assert_eq!(imported.rows_applied, 1, "{imported:?}");
        sku
    }

    /// The name of a SKU of this shop.
    #[must_use]
    pub fn sku(&self, name: &str) -> String {
        format!("{name}-{}", self.mark)
    }

    /// Sends rows to ImportStock.
    pub async fn import(&mut self, rows: Vec<inventory::ImportStockRequest>) -> inventory::ImportStockResponse {
        self.inventory.import_stock(tokio_stream::iter(rows)).await.expect("the rows are taken").into_inner()
    }

    /// The request for an order of these lines.
    #[must_use]
    pub fn request(&self, lines: &[(&str, u32)]) -> orders::PlaceOrderRequest {
        let line = |(sku, quantity): &(&str, u32)| orders::NewOrderLine { sku: (*sku).to_owned(), quantity: *quantity };
        orders::PlaceOrderRequest {
            request_id: String::new(),
            customer_id: self.customer.clone(),
            lines: lines.iter().map(line).collect(),
        }
    }

    /// Places an order.
    pub async fn place(&mut self, lines: &[(&str, u32)]) -> Order {
        let request = self.request(lines);
        self.try_place(request).await.expect("the order is taken")
    }

    /// Sends a placement.
    ///
    /// # Errors
    /// The service's answer.
    pub async fn try_place(&mut self, request: orders::PlaceOrderRequest) -> Result<Order, Status> {
        let answer = self.orders.place_order(request).await?.into_inner();
        Ok(answer.order.expect("an answer has an order"))
    }

    /// Reads an order.
    pub async fn order(&mut self, order_id: &str) -> Order {
        let request = orders::GetOrderRequest { order_id: order_id.to_owned() };
        let answer = self.orders.get_order(request).await.expect("the order is there").into_inner();
        answer.order.expect("an answer has an order")
    }

    /// Waits until an order is in a status.
    ///
    /// # Panics
    /// When it is not within `limit` seconds.
    pub async fn becomes(&mut self, order_id: &str, status: OrderStatus, limit: u64) -> Order {
        let request = orders::GetOrderRequest { order_id: order_id.to_owned() };
        eventually(seconds(limit), async || {
            // A service that was just started may not answer yet.
            let answer = self.orders.get_order(request.clone()).await?.into_inner();
            let order = answer.order.expect("an answer has an order");
            anyhow::ensure!(order.status() == status, "order {order_id} is {:?}", order.status());
            Ok(order)
        })
        .await
    }

    /// Cancels an order.
    ///
    /// # Errors
    /// The service's answer.
    pub async fn cancel(&mut self, order_id: &str, note: &str) -> Result<Order, Status> {
        let request = orders::CancelOrderRequest { order_id: order_id.to_owned(), note: note.to_owned() };
        Ok(self.orders.cancel_order(request).await?.into_inner().order.expect("an answer has an order"))
    }

    /// Fulfils an order.
    ///
    /// # Errors
    /// The service's answer.
    pub async fn fulfil(&mut self, order_id: &str) -> Result<Order, Status> {
        let request = orders::FulfillOrderRequest { order_id: order_id.to_owned() };
        Ok(self.orders.fulfill_order(request).await?.into_inner().order.expect("an answer has an order"))
    }

    /// What there is of a SKU.
    pub async fn item(&mut self, sku: &str) -> inventory::StockItem {
        let request = inventory::GetStockRequest { sku: sku.to_owned() };
        let answer = self.inventory.get_stock(request).await.expect("the SKU is there").into_inner();
        answer.item.expect("an answer has an item")
    }

    /// Waits until there is that much of a SKU, and that much of it reserved.
    ///
    /// # Panics
    /// When there is not within ten seconds.
    pub async fn stock_becomes(&mut self, sku: &str, on_hand: i64, reserved: i64) {
        eventually(seconds(10), async || {
            let item = self.item(sku).await;
            let found = (item.on_hand, item.reserved);
            anyhow::ensure!(found == (on_hand, reserved), "{sku}: (on hand, reserved) is {found:?}");
            assert_eq!(item.available, on_hand - reserved);
            Ok(())
        })
        .await;
    }
}

/// An amount of money.
#[must_use]
pub fn money(currency: &str, units: i64, nanos: i32) -> Money {
    Money { currency_code: currency.to_owned(), units, nanos }
}
