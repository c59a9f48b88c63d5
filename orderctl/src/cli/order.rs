//! `orderctl order …`: everything that the order service does for customers.

use clap::{Args, Subcommand, ValueEnum};
use proto::headers::IDEMPOTENT_REPLAY;
use proto::orders::v1::order_service_client::OrderServiceClient;
use proto::orders::v1::{
    CancelOrderRequest, FulfillOrderRequest, GetOrderRequest, ListOrdersRequest, NewOrderLine, Order, OrderStatus,
    PlaceOrderRequest,
};
use tonic::transport::Channel;
use tonic::{Request, Status};
use uuid::Uuid;

use super::{CallOptions, watch};
use crate::client::{self, Address};
use crate::failure::CallFailed;
use crate::json::{OrderJson, OrdersJson};
use crate::{catalogue, output, render};

/// Place, read and change orders
#[derive(Debug, Args)]
#[command(after_help = "\
Examples:
  orderctl order place KETTLE-17L-STEEL=2 MUG-35CL-THERMO=1
  orderctl order list --status confirmed
  orderctl order cancel ORDER_ID --note \"ordered twice\"")]
pub(crate) struct OrderArguments {
    /// Where the order service listens
    #[arg(long, global = true, env = "ORDERS_ADDRESS", default_value = "http://127.0.0.1:50051")]
    address: Address,
    #[command(flatten)]
    options: CallOptions,
    #[command(subcommand)]
    command: OrderCommand,
}

#[derive(Debug, Subcommand)]
enum OrderCommand {
    /// Place an order; the exit code is 0 whatever the inventory decides
    #[command(after_help = "Example:\n  orderctl order place KETTLE-17L-STEEL=2 --customer ada --timeout 2s")]
    Place {
        /// What is ordered: SKU=QUANTITY
        #[arg(required = true, value_name = "SKU=QTY", value_parser = parse_line)]
        lines: Vec<NewOrderLine>,
        /// Who orders
        #[arg(long, default_value = "demo")]
        customer: String,
        /// Key that makes repeating the call safe [default: a new UUID]
        #[arg(long, value_name = "ID")]
        request_id: Option<String>,
    },
    /// Show an order
    #[command(after_help = "Example:\n  orderctl order get 0199d0a2-6b1e-7c3a-9d55-2f6f0a4b8c11 --json")]
    Get {
        /// The order's id
        id: String,
    },
    /// List orders, newest first
    #[command(after_help = "Example:\n  orderctl order list --customer demo --status pending --page-size 20")]
    List {
        /// Orders of this customer only
        #[arg(long)]
        customer: Option<String>,
        /// Orders with this status only
        #[arg(long)]
        status: Option<StatusName>,
        /// Orders per page, at most 500
        #[arg(long, default_value_t = 50, value_name = "N", value_parser = clap::value_parser!(i32).range(1..=500))]
        page_size: i32,
        /// Go on behind an earlier page, with the token that it printed
        #[arg(long, default_value = "", value_name = "TOKEN", hide_default_value = true)]
        page_token: String,
    },
    /// Withdraw an order; its stock is available again
    #[command(after_help = "Example:\n  orderctl order cancel ORDER_ID --note \"ordered twice\"")]
    Cancel {
        /// The order's id
        id: String,
        /// Why, for people
        #[arg(long, default_value = "", hide_default_value = true)]
        note: String,
    },
    /// Ship an order; its stock is taken out for good
    #[command(after_help = "Example:\n  orderctl order fulfill ORDER_ID")]
    Fulfill {
        /// The order's id
        id: String,
    },
    /// Follow an order until it is final: a line for each version
    #[command(after_help = "Example:\n  orderctl order watch ORDER_ID --after 1")]
    Watch {
        /// The order's id
        id: String,
        /// Leave out versions up to this one
        #[arg(long, default_value_t = 0, value_name = "VERSION")]
        after: u64,
    },
}

/// [`OrderStatus`] as it is typed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum StatusName {
    Pending,
    Confirmed,
    Rejected,
    Cancelled,
    Fulfilled,
}

impl From<StatusName> for OrderStatus {
    fn from(name: StatusName) -> Self {
        match name {
            StatusName::Pending => Self::Pending,
            StatusName::Confirmed => Self::Confirmed,
            StatusName::Rejected => Self::Rejected,
            StatusName::Cancelled => Self::Cancelled,
            StatusName::Fulfilled => Self::Fulfilled,
        }
    }
}

impl OrderArguments {
    /// Runs the command and prints its answer.
    ///
    /// # Errors
    /// The call failed, or standard output can't be written.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let Self { address, options, command } = self;
        let channel = client::connect(&address).await?;
        let orders = Orders { client: OrderServiceClient::new(channel), address, options };
        match command {
            OrderCommand::Place { lines, customer, request_id } => orders.place(lines, customer, request_id).await,
            OrderCommand::Get { id } => orders.get(id).await,
            OrderCommand::List { customer, status, page_size, page_token } => {
                let status = status.map_or(OrderStatus::Unspecified, OrderStatus::from);
                let customer_id = customer.unwrap_or_default();
                orders.list(ListOrdersRequest { customer_id, status: status.into(), page_size, page_token }).await
            }
            OrderCommand::Cancel { id, note } => orders.cancel(id, note).await,
            OrderCommand::Fulfill { id } => orders.fulfill(id).await,
            OrderCommand::Watch { id, after } => {
                let json = orders.options.json;
                watch::watch(orders.client, &orders.address, id, after, |order| watch::print(order, json)).await
            }
        }
    }
}

/// One command's connection and how it answers.
struct Orders {
    client: OrderServiceClient<Channel>,
    address: Address,
    options: CallOptions,
}

impl Orders {
    async fn place(mut self, lines: Vec<NewOrderLine>, customer: String, key: Option<String>) -> anyhow::Result<()> {
        let request_id = key.unwrap_or_else(|| Uuid::new_v4().to_string());
        let message = PlaceOrderRequest { request_id: request_id.clone(), customer_id: customer, lines };
        let request = self.request(message);
        let response = self.client.place_order(request).await.map_err(|status| {
            let doubtful = client::is_broken_connection(&status) || client::is_timed_out(&status);
            let failed = self.failed("PlaceOrder", status);
            let advice =
                format!("the order may exist; repeat the call with --request-id {request_id}, it is placed once.");
            if doubtful { failed.with_advice(advice) } else { failed }
        })?;
        let replayed = response.metadata().contains_key(IDEMPOTENT_REPLAY);
        let order = response.into_inner().order.unwrap_or_default();
        let id = order.order_id.clone();
        self.show(order)?;
        if !self.options.json {
            if replayed {
                output::print("  this order existed before: the same request id was used earlier")?;
            }
            output::print(&format!("  its trace: orderctl trace {id}"))?;
        }
        Ok(())
    }

    async fn get(mut self, order_id: String) -> anyhow::Result<()> {
        let request = self.request(GetOrderRequest { order_id });
        let response = self.client.get_order(request).await.map_err(|status| self.failed("GetOrder", status))?;
        self.show(response.into_inner().order.unwrap_or_default())
    }

    async fn list(mut self, message: ListOrdersRequest) -> anyhow::Result<()> {
        let request = self.request(message);
        let response = self.client.list_orders(request).await.map_err(|status| self.failed("ListOrders", status))?;
        let page = response.into_inner();
        if self.options.json {
            let orders = page.orders.into_iter().map(OrderJson::from).collect();
            return Ok(output::print_json(&OrdersJson { orders, next_page_token: page.next_page_token })?);
        }
        let last = page.next_page_token.is_empty();
        match (page.orders.is_empty(), last) {
            (false, _) => output::print(&render::orders(&page.orders))?,
            (true, true) => output::print("no orders; `orderctl order place SKU=QTY` places one")?,
            // A page in a status looks at a bounded number of orders.
            (true, false) => output::print("none among the orders of this page")?,
        }
        if !last {
            output::print(&format!("more with --page-token {}", page.next_page_token))?;
        }
        Ok(())
    }

    async fn cancel(mut self, order_id: String, note: String) -> anyhow::Result<()> {
        let request = self.request(CancelOrderRequest { order_id, note });
        let response = self.client.cancel_order(request).await.map_err(|status| self.failed("CancelOrder", status))?;
        self.show(response.into_inner().order.unwrap_or_default())
    }

    async fn fulfill(mut self, order_id: String) -> anyhow::Result<()> {
        let request = self.request(FulfillOrderRequest { order_id });
        let response =
            self.client.fulfill_order(request).await.map_err(|status| self.failed("FulfillOrder", status))?;
        self.show(response.into_inner().order.unwrap_or_default())
    }

    fn request<T>(&self, message: T) -> Request<T> {
        client::request(message, self.options.call_timeout())
    }

    fn failed(&self, call: &'static str, status: Status) -> CallFailed {
        CallFailed::new(call, &self.address, status)
    }

    fn show(&self, order: Order) -> anyhow::Result<()> {
        let json = self.options.json;
        Ok(if json { output::print_json(&OrderJson::from(order)) } else { output::print(&render::order(&order)) }?)
    }
}

fn parse_line(text: &str) -> Result<NewOrderLine, String> {
    let (sku, quantity) = text.split_once('=').ok_or("expected SKU=QUANTITY, such as KETTLE-17L-STEEL=2")?;
    catalogue::check_sku(sku)?;
    match quantity.parse() {
        Ok(quantity) if (1..=10_000).contains(&quantity) => Ok(NewOrderLine { sku: sku.to_owned(), quantity }),
        _ => Err(format!("\"{quantity}\" is not a quantity from 1 to 10000")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_sku_and_quantity() {
        assert_eq!(parse_line("MUG.1_a-B=12"), Ok(NewOrderLine { sku: "MUG.1_a-B".to_owned(), quantity: 12 }));
        for wrong in ["MUG", "=1", "MUG=", "MUG=0", "MUG=10001", "MUG=-1", "MUG=1=2", "M UG=1"] {
            assert!(parse_line(wrong).is_err(), "{wrong}");
        }
    }
}
