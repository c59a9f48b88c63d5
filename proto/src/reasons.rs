//! Stable reasons: `google.rpc.ErrorInfo.reason` of errors, `status_reason` of orders, `reason` of rejections.

/// `ErrorInfo.domain` of the order service.
pub const ORDERS_DOMAIN: &str = "orders.v1";
/// `ErrorInfo.domain` of the inventory service.
pub const INVENTORY_DOMAIN: &str = "inventory.v1";

/// INVALID_ARGUMENT: a field is missing or malformed; `BadRequest` names every one.
pub const INVALID_FIELD: &str = "INVALID_FIELD";
/// INVALID_ARGUMENT: the page token is not one of ours.
pub const INVALID_PAGE_TOKEN: &str = "INVALID_PAGE_TOKEN";
/// INVALID_ARGUMENT: the bytes are no message.
pub const MALFORMED_MESSAGE: &str = "MALFORMED_MESSAGE";
/// NOT_FOUND: no such order.
pub const ORDER_NOT_FOUND: &str = "ORDER_NOT_FOUND";
/// NOT_FOUND: no such SKU.
pub const SKU_NOT_FOUND: &str = "SKU_NOT_FOUND";
/// NOT_FOUND: no such reservation.
pub const RESERVATION_NOT_FOUND: &str = "RESERVATION_NOT_FOUND";
/// ALREADY_EXISTS: the same request id with another body.
pub const REQUEST_ID_REUSED: &str = "REQUEST_ID_REUSED";
/// ALREADY_EXISTS: the same order id reserved with other lines.
pub const RESERVATION_MISMATCH: &str = "RESERVATION_MISMATCH";
/// FAILED_PRECONDITION: a move that the state machine forbids; `metadata.status` says the status.
pub const ORDER_STATE: &str = "ORDER_STATE";
/// RESOURCE_EXHAUSTED: too many requests at once.
pub const OVERLOADED: &str = "OVERLOADED";
/// RESOURCE_EXHAUSTED: over a rate.
pub const RATE_LIMITED: &str = "RATE_LIMITED";
/// RESOURCE_EXHAUSTED: a message over the limit.
pub const MESSAGE_TOO_LARGE: &str = "MESSAGE_TOO_LARGE";
/// UNAVAILABLE: a dependency is away; `metadata.dependency` says which.
pub const DEPENDENCY_UNAVAILABLE: &str = "DEPENDENCY_UNAVAILABLE";
/// UNAVAILABLE: this instance is going away.
pub const DRAINING: &str = "DRAINING";
/// DEADLINE_EXCEEDED: the caller's deadline passed first.
pub const DEADLINE_EXCEEDED: &str = "DEADLINE_EXCEEDED";
/// CANCELLED: the caller gave up.
pub const CANCELLED: &str = "CANCELLED";
/// UNIMPLEMENTED: no such method.
pub const UNIMPLEMENTED: &str = "UNIMPLEMENTED";
/// UNAUTHENTICATED: no or bad credentials.
pub const UNAUTHENTICATED: &str = "UNAUTHENTICATED";
/// PERMISSION_DENIED: not allowed.
pub const PERMISSION_DENIED: &str = "PERMISSION_DENIED";
/// INTERNAL: a bug.
pub const INTERNAL: &str = "INTERNAL";

/// Rejection: fewer units available than asked for.
pub const OUT_OF_STOCK: &str = "OUT_OF_STOCK";
/// Rejection: a line names no known SKU.
pub const UNKNOWN_SKU: &str = "UNKNOWN_SKU";
/// Rejection: the lines are priced in more than one currency.
pub const MIXED_CURRENCY: &str = "MIXED_CURRENCY";
/// Rejection: the total is more than can be counted.
pub const AMOUNT_TOO_LARGE: &str = "AMOUNT_TOO_LARGE";
/// Rejection by Reserve: the order was cancelled first.
pub const ORDER_CLOSED: &str = "ORDER_CLOSED";
/// Cancellation: the customer asked for it.
pub const CUSTOMER_REQUEST: &str = "CUSTOMER_REQUEST";
