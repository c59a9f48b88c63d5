//! `orderctl seed`: what a platform that was just deployed is shown with: stock, an order, where everything is.
//!
//! It runs beside the services, in their network, and its reader sits elsewhere: it calls one set of addresses and prints
//! another.

use std::str::FromStr;

use anyhow::bail;
use clap::Args;
use proto::orders::v1::{Order, OrderStatus};

use super::current_style;
use crate::client::Address;
use crate::demo::{self, Story};
use crate::{output, render, waterfall};

/// Import the demo catalogue, place an order and say where everything is
///
/// Running it again imports nothing that is there, and places one more order.
#[derive(Debug, Args)]
#[command(after_help = "\
Example:
  orderctl seed --address order-svc:50051 --inventory inventory-svc:50052 --jaeger jaeger:16686 \\
    --published orders=127.0.0.1:50051,inventory=127.0.0.1:50052,jaeger=http://127.0.0.1:16686")]
pub(crate) struct SeedArguments {
    /// Where the order service listens
    #[arg(long, env = "ORDERS_ADDRESS", default_value = "http://127.0.0.1:50051")]
    address: Address,
    /// Where the inventory service listens
    #[arg(long, env = "INVENTORY_ADDRESS", default_value = "http://127.0.0.1:50052")]
    inventory: Address,
    /// Where Jaeger's query API listens
    #[arg(long, env = "JAEGER_URL", default_value = "http://127.0.0.1:16686", value_name = "URL")]
    jaeger: Address,
    /// What the reader reaches under which address, NAME=ADDRESS,…: orders, inventory and jaeger are printed instead of
    /// the ones above, others as they stand
    #[arg(long, env = "SEED_PUBLISHED", default_value = "", hide_default_value = true, value_name = "LIST")]
    published: Published,
}

/// Names and addresses, in the order in which they were given.
#[derive(Debug, Clone, Default)]
struct Published(Vec<(String, String)>);

impl FromStr for Published {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let entries = text.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let entries = entries.map(|entry| match entry.split_once('=') {
            Some((name, address)) if !name.is_empty() && !address.is_empty() => {
                Ok((name.to_owned(), address.to_owned()))
            }
            Some(_) | None => Err(format!("{entry:?} is not NAME=ADDRESS")),
        });
        entries.collect::<Result<_, _>>().map(Self)
    }
}

impl Published {
    /// The address printed for `name`.
    fn of(&self, name: &str, otherwise: &Address) -> String {
        let given = self.0.iter().find(|(given, _)| given == name);
        given.map_or_else(|| otherwise.to_string(), |(_, address)| address.clone())
    }
}

/// Names in `--published` that stand for what this command calls itself.
const CALLED: [&str; 3] = ["orders", "inventory", "jaeger"];

impl SeedArguments {
    /// Runs the command and prints what it did.
    ///
    /// # Errors
    /// A call failed, the catalogue has rows that were refused, or the order was not confirmed. A trace that is not whole
    /// is said, and is none: it may become so.
    pub(crate) async fn run(self) -> anyhow::Result<()> {
        let imported = demo::import_catalogue(&self.inventory).await?;
        let (new, known) = (imported.rows_applied, imported.rows_already_applied);
        output::print(&format!("{new} products imported, {known} were there\n"))?;
        let order = demo::place_order(&self.address, &self.inventory).await?;
        output::print(&render::order(&order))?;
        if order.status() != OrderStatus::Confirmed {
            bail!("the order was not confirmed\n  next: look into the logs of order-svc and inventory-svc");
        }
        let trace_id = match demo::trace(&self.jaeger.to_string(), &order.order_id).await {
            Ok(Story { trace, missing }) => {
                if let Some(trace) = &trace {
                    output::print(&format!("\n{}", waterfall::draw(trace, current_style())))?;
                }
                if !missing.is_empty() {
                    output::print(&format!("! the trace is not whole yet; it lacks {}", missing.join(", ")))?;
                }
                trace.map(|trace| trace.id)
            }
            Err(error) => {
                output::print(&format!("\n! the order's trace can't be read: {error:#}"))?;
                None
            }
        };
        Ok(output::print(&self.summary(&order, trace_id.as_deref()))?)
    }

    /// The addresses of everything, lines that work as they stand, and where the order's trace is.
    fn summary(&self, order: &Order, trace_id: Option<&str>) -> String {
        let orders = without_scheme(self.published.of("orders", &self.address));
        let inventory = without_scheme(self.published.of("inventory", &self.inventory));
        let jaeger = self.published.of("jaeger", &self.jaeger);
        let sku = order.lines.first().map_or("KETTLE-17L-STEEL", |line| line.sku.as_str());
        let body = format!(r#"{{"customer_id":"ada","lines":[{{"sku":"{sku}","quantity":1}}]}}"#);
        let mut addresses = vec![("order-svc", orders.as_str()), ("inventory-svc", &inventory), ("Jaeger", &jaeger)];
        let others = self.published.0.iter().filter(|(name, _)| !CALLED.contains(&name.as_str()));
        addresses.extend(others.map(|(name, address)| (name.as_str(), address.as_str())));
        let addresses: Vec<String> = addresses.iter().map(|(name, address)| format!("{name:<14} {address}")).collect();
        let trace = trace_id.map_or_else(
            || format!("{jaeger} has no trace of this order yet."),
            |id| format!("This order's trace:\n  {jaeger}/trace/{id}"),
        );
        format!(
            "\n{addresses}\n\nTry:\n  grpcurl -plaintext {orders} list\n  \
             grpcurl -plaintext -d '{body}' {orders} orders.v1.OrderService/PlaceOrder\n  \
             grpcurl -plaintext -d '{{\"order_id\":\"{order_id}\"}}' {orders} orders.v1.OrderService/GetOrder\n  \
             grpcurl -plaintext -d '{{\"sku\":\"{sku}\"}}' {inventory} inventory.v1.InventoryService/GetStock\n\n{trace}",
            addresses = addresses.join("\n"),
            order_id = order.order_id,
        )
    }
}

/// As grpcurl wants addresses.
fn without_scheme(address: String) -> String {
    address.strip_prefix("http://").map_or(address.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use proto::orders::v1::OrderLine;

    use super::*;

    fn arguments(published: &str) -> SeedArguments {
        let address = |text: &str| text.parse().expect("an address");
        SeedArguments {
            address: address("order-svc:50051"),
            inventory: address("inventory-svc:50052"),
            jaeger: address("jaeger:16686"),
            published: published.parse().expect("a list"),
        }
    }

    fn order() -> Order {
        let line = OrderLine { sku: "MUG".to_owned(), quantity: 2, unit_price: None };
        Order { order_id: "id".to_owned(), lines: vec![line], ..Order::default() }
    }

    #[test]
    fn reader_gets_published_addresses_and_lines_with_valid_json() {
        let seed =
            arguments("orders=127.0.0.1:1, inventory=127.0.0.1:2,\n jaeger=http://127.0.0.1:3, Grafana=http://g:4");
        let text = seed.summary(&order(), Some("abc"));
        for expected in
            ["order-svc      127.0.0.1:1\n", "Grafana        http://g:4\n", "  http://127.0.0.1:3/trace/abc"]
        {
            assert!(text.contains(expected), "{text}");
        }
        assert!(!text.contains(":50051") && !text.contains(":50052") && !text.contains(":16686"), "{text}");
        let pasted = text.lines().filter(|line| line.starts_with("  grpcurl "));
        let bodies: Vec<&str> = pasted.filter_map(|line| line.split('\'').nth(1)).collect();
        assert_eq!(bodies.len(), 3, "{text}");
        for body in bodies {
            serde_json::from_str::<serde_json::Value>(body).expect("the body is JSON");
        }
    }

    #[test]
    fn without_a_list_the_addresses_are_those_that_were_called() {
        let text = arguments("").summary(&order(), None);
        assert!(text.contains("grpcurl -plaintext order-svc:50051 list"), "{text}");
        assert!(text.ends_with("http://jaeger:16686 has no trace of this order yet."), "{text}");
    }

    #[test]
    fn entries_without_a_name_or_an_address_are_refused() {
        for wrong in ["orders", "orders=", "=127.0.0.1:1", "orders=a:1,x"] {
            assert!(wrong.parse::<Published>().is_err(), "{wrong}");
        }
    }
}
