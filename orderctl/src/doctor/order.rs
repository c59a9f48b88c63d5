//! An order of the doctor's own, and its stock: brought in for it and taken away after it.

use std::time::{Duration, Instant};

use proto::google::r#type::Money;
use proto::inventory::v1::inventory_service_client::InventoryServiceClient;
use proto::inventory::v1::{GetReservationRequest, ImportStockRequest, ReservationStatus};
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{CancelOrderRequest, GetOrderRequest, NewOrderLine, Order, OrderStatus, PlaceOrderRequest};
use tonic::Status;
use tonic::transport::Channel;
use uuid::Uuid;

use super::DoctorArguments;
use super::check::Check;
use super::examination::{Examination, Trouble, broken};
use super::trace::Traced;
use crate::client::{self, Address};
use crate::failure::CallFailed;

/// Nobody sells it. One row of the stock table, whatever number of examinations there was.
const SKU: &str = "DOCTOR-CHECK";
const CUSTOMER: &str = "orderctl-doctor";
const CALL_LIMIT: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(50);

/// Brings a unit in, orders it and cancels the order; the order, if all of that went well.
pub(super) async fn place(
    examination: &mut Examination,
    arguments: &DoctorArguments,
    traced: &Traced,
) -> anyhow::Result<Option<Order>> {
    let import = async {
        add(&arguments.inventory, 1).await?;
        Ok((format!("one unit of {SKU}"), ()))
    };
    examination.check(Check::Import, import).await?;
    let order = examination.check(Check::Order, confirmed(arguments, traced)).await?;
    let cancel = async {
        let order_id = order.as_ref().map(|order| order.order_id.clone()).unwrap_or_default();
        let message = CancelOrderRequest { order_id: order_id.clone(), note: "orderctl doctor".to_owned() };
        let mut orders = orders(&arguments.orders).await?;
        let cancelled = orders.cancel_order(client::request(message, CALL_LIMIT)).await;
        cancelled.map_err(|status| failed("CancelOrder", &arguments.orders, status))?;
        Ok((format!("order {order_id} is cancelled"), ()))
    };
    let cancelled = examination.check(Check::Cancel, cancel).await?;
    Ok(order.filter(|_| cancelled.is_some()))
}

async fn confirmed(arguments: &DoctorArguments, traced: &Traced) -> Result<(String, Order), Trouble> {
    let mut orders = orders(&arguments.orders).await?;
    let line = NewOrderLine { sku: SKU.to_owned(), quantity: 1 };
    let message = PlaceOrderRequest {
        request_id: Uuid::new_v4().to_string(),
        customer_id: CUSTOMER.to_owned(),
        lines: vec![line],
    };
    let mut request = client::request(message, CALL_LIMIT);
    traced.mark(&mut request);
    let begun = Instant::now();
    let answer = orders.place_order(request).await;
    let answer = answer.map_err(|status| failed("PlaceOrder", &arguments.orders, status))?.into_inner();
    let mut order = answer.order.unwrap_or_default();
    while order.status() == OrderStatus::Pending && begun.elapsed() < arguments.wait {
        tokio::time::sleep(POLL).await;
        let message = GetOrderRequest { order_id: order.order_id.clone() };
        let read = orders.get_order(client::request(message, CALL_LIMIT)).await;
        let read = read.map_err(|status| failed("GetOrder", &arguments.orders, status))?.into_inner();
        order = read.order.unwrap_or_default();
    }
    let id = &order.order_id;
    match order.status() {
        OrderStatus::Confirmed => Ok((format!("order {id} is confirmed"), order)),
        OrderStatus::Pending => Err(broken(
            format!("order {id} is still PENDING after {:?}", arguments.wait),
            "look at order-svc's log and at rpc_client_circuit_breaker_state: its calls to inventory-svc do not get through",
        )),
        other => Err(broken(
            format!("order {id} is {} ({})", other.as_str_name(), order.status_reason),
            "one unit had just been brought in for it: look at inventory-svc's log",
        )),
    }
}

/// Whether inventory has heard of the cancellation; then the unit is taken away again.
pub(super) async fn stock_is_back(
    examination: &mut Examination,
    arguments: &DoctorArguments,
    order: Option<&Order>,
) -> anyhow::Result<()> {
    let look = async {
        let order_id = order.map(|order| order.order_id.clone()).unwrap_or_default();
        let mut inventory = inventory(&arguments.inventory).await?;
        let begun = Instant::now();
        loop {
            let message = GetReservationRequest { order_id: order_id.clone() };
            let read = inventory.get_reservation(client::request(message, CALL_LIMIT)).await;
            let read = read.map_err(|status| failed("GetReservation", &arguments.inventory, status))?.into_inner();
            let reservation = read.reservation.unwrap_or_default();
            if reservation.status() == ReservationStatus::Released {
                break;
            }
            if begun.elapsed() >= arguments.wait {
                return Err(broken(
                    format!(
                        "the reservation is still {} after {:?}",
                        reservation.status().as_str_name(),
                        arguments.wait
                    ),
                    "OrderCancelled was read and changed nothing: `orderctl dead-letters list`, and inventory-svc's log",
                ));
            }
            tokio::time::sleep(POLL).await;
        }
        add(&arguments.inventory, -1).await?;
        Ok((format!("released, and the unit of {SKU} taken away again"), ()))
    };
    examination.check(Check::StockBack, look).await?;
    Ok(())
}

/// Changes the stock of the doctor's article.
async fn add(address: &Address, quantity: i64) -> Result<(), Trouble> {
    let row = ImportStockRequest {
        import_id: format!("doctor-{}", Uuid::new_v4()),
        row: 1,
        sku: SKU.to_owned(),
        name: "not for sale: orderctl doctor".to_owned(),
        unit_price: Some(Money { currency_code: "EUR".to_owned(), units: 1, nanos: 0 }),
        quantity,
    };
    let request = client::request(tokio_stream::iter([row]), CALL_LIMIT);
    let imported = inventory(address).await?.import_stock(request).await;
    let imported = imported.map_err(|status| failed("ImportStock", address, status))?.into_inner();
    match imported.errors.first() {
        None => Ok(()),
        Some(refused) => Err(broken(
            format!("the row was refused: {} ({})", refused.message, refused.reason),
            "look at inventory-svc's log",
        )),
    }
}

async fn orders(address: &Address) -> Result<OrderServiceClient<Channel>, Trouble> {
    let channel = client::connect(address).await;
    Ok(OrderServiceClient::new(channel.map_err(|failure| unreachable_now(&failure))?))
}

async fn inventory(address: &Address) -> Result<InventoryServiceClient<Channel>, Trouble> {
    let channel = client::connect(address).await;
    Ok(InventoryServiceClient::new(channel.map_err(|failure| unreachable_now(&failure))?))
}

fn unreachable_now(failure: &CallFailed) -> Trouble {
    broken(failure.summary(), "it answered a moment ago: look at the service's log")
}

fn failed(call: &'static str, address: &Address, status: Status) -> Trouble {
    let code = status.code();
    let failure = CallFailed::new(call, address, status);
    let next = match code {
        tonic::Code::ResourceExhausted => {
            "it refuses work to protect itself: look at its load, and at MAX_UNFINISHED_ORDERS"
        }
        tonic::Code::Unauthenticated | tonic::Code::PermissionDenied => {
            "it wants credentials, which the doctor has not"
        }
        _ => "look at the service's log: it has a line with the reason, and with the trace's id",
    };
    broken(failure.summary(), next)
}
