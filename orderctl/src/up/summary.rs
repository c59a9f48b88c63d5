//! What to do with a running platform: addresses and lines to paste.

use proto::orders::v1::Order;

use super::platform::Addresses;
use super::ports::Ports;

/// The addresses of everything, then lines that work as they stand; `program` is this program as it was called.
pub(super) fn summary(at: &Addresses, order: &Order, program: &str) -> String {
    let Addresses { orders, inventory, jaeger, kafka, orders_database, inventory_database, data, ports, .. } = at;
    let Ports { orders: orders_port, inventory: inventory_port, orders_admin, inventory_admin, .. } = ports;
    let sku = order.lines.first().map_or("KETTLE-17L-STEEL", |line| line.sku.as_str());
    let body = format!(r#"{{"customer_id":"demo","lines":[{{"sku":"{sku}","quantity":1}}]}}"#);
    let logs = data.join("logs");
    format!(
        "\
order-svc      gRPC {orders}   metrics http://127.0.0.1:{orders_admin}/metrics
inventory-svc  gRPC {inventory}   metrics http://127.0.0.1:{inventory_admin}/metrics
traces         {jaeger}
Kafka          {kafka}
Postgres       psql '{orders_database}'
               psql '{inventory_database}'
logs           {logs}

Try:
  grpcurl -plaintext 127.0.0.1:{orders_port} list
  grpcurl -plaintext -d '{body}' 127.0.0.1:{orders_port} orders.v1.OrderService/PlaceOrder
  grpcurl -plaintext -d '{{\"sku\":\"{sku}\"}}' 127.0.0.1:{inventory_port} inventory.v1.InventoryService/GetStock
  {program} trace {order_id} --jaeger {jaeger}
  {program} doctor{elsewhere}",
        order_id = order.order_id,
        logs = logs.display(),
        elsewhere = addresses_of_its_own(at),
    )
}

/// What `doctor` has to be told of a platform that is not where it looks by itself.
fn addresses_of_its_own(at: &Addresses) -> String {
    let local = |port: u16| format!("http://127.0.0.1:{port}");
    let options = [
        ("--orders", at.orders.to_string(), local(50051)),
        ("--orders-admin", local(at.ports.orders_admin), local(9464)),
        ("--orders-database", at.orders_database.clone(), "postgres://postgres@127.0.0.1:15432/orders".to_owned()),
        ("--inventory", at.inventory.to_string(), local(50052)),
        ("--inventory-admin", local(at.ports.inventory_admin), local(9465)),
        (
            "--inventory-database",
            at.inventory_database.clone(),
            "postgres://postgres@127.0.0.1:15432/inventory".to_owned(),
        ),
        ("--kafka", at.kafka.clone(), "127.0.0.1:19092".to_owned()),
        ("--otlp", at.otlp.clone(), local(4317)),
        ("--jaeger", at.jaeger.clone(), local(16686)),
    ];
    let elsewhere = options.into_iter().filter(|(_, address, usual)| address != usual);
    elsewhere.map(|(option, address, _)| format!(" {option} '{address}'")).collect()
}

#[cfg(test)]
mod tests {
    use proto::orders::v1::OrderLine;

    use super::*;

    #[test]
    fn lines_to_paste_have_the_real_ports_and_valid_json() {
        let ports = Ports {
            orders: 1,
            inventory: 2,
            orders_admin: 3,
            inventory_admin: 4,
            jaeger: 5,
            otlp: 6,
            kafka: 7,
            postgres: 8,
        };
        let at = Addresses {
            orders: "127.0.0.1:1".parse().expect("an address"),
            inventory: "127.0.0.1:2".parse().expect("an address"),
            jaeger: "http://127.0.0.1:5".to_owned(),
            otlp: "http://127.0.0.1:6".to_owned(),
            kafka: "127.0.0.1:7".to_owned(),
            orders_database: "postgres://127.0.0.1:8/orders".to_owned(),
            inventory_database: "postgres://127.0.0.1:8/inventory".to_owned(),
            data: ".data".into(),
            ports,
        };
        let line = OrderLine { sku: "MUG".to_owned(), quantity: 2, unit_price: None };
        let text = summary(&at, &Order { lines: vec![line], ..Order::default() }, "orderctl");
        let pasted: Vec<&str> = text.lines().filter(|line| line.starts_with("  grpcurl -plaintext ")).collect();
        assert_eq!(pasted.len(), 3, "{text}");
        assert!(pasted[0].ends_with("127.0.0.1:1 list"));
        let body: Vec<&str> = pasted[1].split('\'').collect();
        let json: serde_json::Value = serde_json::from_str(body[1]).expect("the body is JSON");
        assert_eq!(json["lines"][0]["sku"], "MUG");
        assert!(
            text.ends_with(" --kafka '127.0.0.1:7' --otlp 'http://127.0.0.1:6' --jaeger 'http://127.0.0.1:5'"),
            "{text}"
        );
        assert!(pasted[2].contains("{\"sku\":\"MUG\"}' 127.0.0.1:2 "), "{}", pasted[2]);
    }
}
