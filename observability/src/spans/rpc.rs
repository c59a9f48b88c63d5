//! gRPC calls, both sides.

use opentelemetry::trace::{SpanKind, Status, TraceContextExt as _};
use opentelemetry::{Context, KeyValue};
use opentelemetry_semantic_conventions::attribute::{
    RPC_METHOD, RPC_RESPONSE_STATUS_CODE, RPC_SYSTEM_NAME, SERVER_ADDRESS,
};

use super::open::{Opening, open};

/// A call that this service answers. `method` is the full name, `orders.v1.OrderService/PlaceOrder`.
pub fn server(method: &str, parent: &Context) -> Context {
    open(parent, || Opening::new(SpanKind::Server, method.to_owned(), rpc_attributes(method)))
}

/// A call that this service makes. `server_address` is the target as configured.
pub fn client(method: &str, server_address: &str, parent: &Context) -> Context {
    open(parent, || {
        let mut attributes = rpc_attributes(method);
        attributes.push(KeyValue::new(SERVER_ADDRESS, server_address.to_owned()));
        Opening::new(SpanKind::Client, method.to_owned(), attributes)
    })
}

/// Ends the span of a call with its status, `code_name` being `OK`, `NOT_FOUND`, … `is_error` depends on the side: a
/// server's span fails by a few codes only, a client's by every code but OK.
pub fn end_rpc(context: &Context, code_name: &'static str, is_error: bool) {
    let span = context.span();
    if !span.is_recording() {
        return;
    }
    span.set_attribute(KeyValue::new(RPC_RESPONSE_STATUS_CODE, code_name));
    if is_error {
        span.set_status(Status::error(code_name));
    }
    span.end();
}

/// Notes on a client's span that attempt number `attempt` (from 1) ended with `code_name` and is followed by another. A
/// call is one span, whatever it takes.
pub fn retried(context: &Context, attempt: u32, code_name: &'static str) {
    let attributes =
        vec![KeyValue::new(RPC_RESPONSE_STATUS_CODE, code_name), KeyValue::new("shop.attempt", i64::from(attempt))];
    context.span().add_event("retry", attributes);
}

fn rpc_attributes(method: &str) -> Vec<KeyValue> {
    vec![KeyValue::new(RPC_SYSTEM_NAME, "grpc"), KeyValue::new(RPC_METHOD, method.to_owned())]
}
