//! The inventory service, as orders see it. The only place that speaks its API.

use proto::inventory::v1 as api;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::reasons;
use proto::values::{Money, OrderId, Sku};
use runtime::health::Health;
use runtime::tasks::TaskGroup;
use tonic::{Request, Status};
use transport::client::{self, ClientSettings, ClientStack};
use transport::deadline::Deadline;

use crate::domain::decide::{Happening, Price};
use crate::domain::order::{Order, Rejection, Shortage};

/// What may be sent again when it is not known what became of it: inventory knows an order by its id and gives the
/// first answer again.
const IDEMPOTENT: [&str; 2] =
    ["inventory.v1.InventoryService/Reserve", "inventory.v1.InventoryService/CloseReservation"];

/// Calls the inventory service. Cheap to clone.
#[derive(Clone, Debug)]
pub struct InventoryClient {
    client: InventoryServiceClient<ClientStack>,
}

/// How the stock of an order is to end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Closing {
    /// The order was cancelled.
    Release,
    /// The order was fulfilled.
    Ship,
}

impl InventoryClient {
    /// Prepares calls and keeps asking for inventory's health, as component `inventory` of this service's own. `tasks`
    /// are to outlive the calls.
    #[must_use]
    pub fn connect(settings: &ClientSettings, health: &Health, tasks: &TaskGroup) -> Self {
        let stack = client::connect(settings, &IDEMPOTENT, tasks);
        client::probe::watch(&stack, "inventory", health, tasks);
        Self { client: InventoryServiceClient::new(stack) }
    }

    /// Asks for the stock of an order. `None`: the order was cancelled first.
    ///
    /// # Errors
    /// Inventory is away, slow, or answers what can't be understood. Nothing is known then: not whether stock is held (O2).
    pub async fn reserve(&self, order: &Order, deadline: Deadline) -> Result<Option<Happening>, Status> {
        use api::reserve_response::Outcome;
        let line = |line: &crate::domain::order::OrderLine| api::ReserveLine {
            sku: line.sku.to_string(),
            quantity: line.quantity.get(),
        };
        let lines = order.lines.iter().map(line).collect();
        let mut request = Request::new(api::ReserveRequest { order_id: order.order_id.to_string(), lines });
        deadline.apply_to(&mut request);
        let answer = self.client.clone().reserve(request).await?.into_inner();
        match answer.outcome {
            Some(Outcome::Reservation(reservation)) => {
                prices(&reservation.lines).map(Happening::StockReserved).map(Some)
            }
            Some(Outcome::Rejection(rejection)) if rejection.reason == reasons::ORDER_CLOSED => Ok(None),
            Some(Outcome::Rejection(rejected)) => Ok(Some(Happening::StockRejected(rejection(rejected)?))),
            None => Err(not_understood("an empty outcome")),
        }
    }

    /// Ends the reservation of a final order.
    ///
    /// # Errors
    /// Inventory is away or refuses; nothing is known then.
    pub async fn close(&self, order_id: OrderId, closing: Closing, deadline: Deadline) -> Result<(), Status> {
        let status = match closing {
            Closing::Release => api::ReservationStatus::Released,
            Closing::Ship => api::ReservationStatus::Shipped,
        };
        let message = api::CloseReservationRequest { order_id: order_id.to_string(), status: status.into() };
        let mut request = Request::new(message);
        deadline.apply_to(&mut request);
        self.client.clone().close_reservation(request).await.map(|_| ())
    }
}

fn prices(lines: &[api::ReservedLine]) -> Result<Vec<Price>, Status> {
    let price = |line: &api::ReservedLine| {
        let sku = Sku::parse(&line.sku).ok()?;
        let unit_price = Money::parse_price(line.unit_price.as_ref()?).ok()?;
        Some(Price { sku, unit_price })
    };
    let prices: Option<Vec<Price>> = lines.iter().map(price).collect();
    prices.ok_or_else(|| not_understood("a line without a SKU or a price"))
}

fn rejection(rejection: api::Rejection) -> Result<Rejection, Status> {
    let shortage = |shortage: api::Shortage| {
        let sku = Sku::parse(&shortage.sku).ok()?;
        Some(Shortage { sku, requested: shortage.requested, available: shortage.available })
    };
    let shortages: Option<Vec<Shortage>> = rejection.shortages.into_iter().map(shortage).collect();
    let shortages = shortages.ok_or_else(|| not_understood("a shortage without a SKU"))?;
    if rejection.reason.is_empty() {
        return Err(not_understood("a rejection without a reason"));
    }
    Ok(Rejection { reason: rejection.reason, shortages })
}

fn not_understood(what: &str) -> Status {
    Status::internal(format!("inventory answered {what}"))
}
