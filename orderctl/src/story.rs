//! Whether the trace of a placed order is whole.

use crate::waterfall::{Kind, Trace};

/// What the trace of a placed order lacks of its life, as the contract's "Traces" tells it.
pub(crate) fn missing_parts(trace: &Trace) -> Vec<&'static str> {
    let has = |service: &str, kind: Kind, name: &str| {
        trace.spans.iter().any(|span| span.service == service && span.kind == kind && span.name.contains(name))
    };
    let (orders, inventory) = (proto::topics::ORDER_SERVICE, proto::topics::INVENTORY_SERVICE);
    let mut missing = Vec::new();
    let mut expect = |present: bool, what: &'static str| {
        if !present {
            missing.push(what);
        }
    };
    expect(has(orders, Kind::Server, "PlaceOrder"), "PlaceOrder on the server");
    expect(has(orders, Kind::Client, "Reserve"), "Reserve on the client");
    expect(has(inventory, Kind::Server, "Reserve"), "Reserve on the server");
    expect(has(orders, Kind::Database, ""), "a transaction of order-svc");
    expect(has(inventory, Kind::Database, ""), "a transaction of inventory-svc");
    expect(has(orders, Kind::Producer, "send orders.v1"), "send orders.v1");
    expect(has(inventory, Kind::Consumer, "process orders.v1"), "process orders.v1");
    expect(has(inventory, Kind::Producer, "send inventory.v1"), "send inventory.v1");
    expect(has(orders, Kind::Consumer, "process inventory.v1"), "process inventory.v1");
    let consumed =
        |id: &str| trace.spans.iter().any(|span| span.kind == Kind::Consumer && span.parent.as_deref() == Some(id));
    let sent = trace.spans.iter().filter(|span| span.kind == Kind::Producer);
    expect(sent.map(|span| span.id.as_str()).all(consumed), "the consumer of an event");
    expect(trace.orphans().next().is_none(), "the parent of a span");
    missing
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::jaeger;

    #[test]
    fn what_a_trace_lacks_is_named() {
        let answer = serde_json::from_str(include_str!("../testdata/order.json")).expect("it is JSON");
        let traces = jaeger::traces(answer).expect("it has Jaeger's form");
        assert_eq!(missing_parts(&traces[0]), ["send inventory.v1", "process inventory.v1"]);
        let mut cut_off = traces[0].clone();
        cut_off.spans.retain(|span| span.kind != Kind::Producer && span.kind != Kind::Client);
        let missing = missing_parts(&cut_off);
        assert!(missing.contains(&"Reserve on the client") && missing.contains(&"the parent of a span"), "{missing:?}");
    }
}
