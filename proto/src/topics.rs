//! Topics and consumer groups. Key of every record: the order id, so that an order's events stay in order.

/// Events of orders: `events.v1.Order*`.
pub const ORDERS: &str = "orders.v1";
/// Events of reservations: `events.v1.Stock*`.
pub const INVENTORY: &str = "inventory.v1";
/// Records of [`ORDERS`] that a consumer gave up on.
pub const ORDERS_DEAD_LETTERS: &str = "orders.v1.dlq";
/// Records of [`INVENTORY`] that a consumer gave up on.
pub const INVENTORY_DEAD_LETTERS: &str = "inventory.v1.dlq";
/// Partitions of each topic.
pub const PARTITIONS: i32 = 6;

/// Consumer group, `service.name` and `ce_source` of the order service.
pub const ORDER_SERVICE: &str = "order-svc";
/// Consumer group, `service.name` and `ce_source` of the inventory service.
pub const INVENTORY_SERVICE: &str = "inventory-svc";
