//! Messages of `events.v1`. They share their fields, so one type holds them all; fields that a message does not have are
//! left out.

use prost::{Message, Name};
use proto::events::v1 as events;
use serde::Serialize;

use super::{LineJson, MoneyJson, ShortageJson};

/// Any message of `events.v1`.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct EventJson {
    order_id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    customer_id: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    lines: Option<Vec<LineJson>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    total: Option<MoneyJson>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    shortages: Option<Vec<ShortageJson>>,
    version: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    occur_time: Option<String>,
}

/// The message of that type in `value`; `None` when the type is unknown, or `value` is none of it.
pub(crate) fn event(event_type: &str, value: &[u8]) -> Option<EventJson> {
    fn of<M: Message + Name + Default + Into<EventJson>>(event_type: &str, value: &[u8]) -> Option<EventJson> {
        if event_type == M::full_name() { M::decode(value).ok().map(M::into) } else { None }
    }
    let kinds = [
        of::<events::OrderPlaced>,
        of::<events::OrderConfirmed>,
        of::<events::OrderRejected>,
        of::<events::OrderCancelled>,
        of::<events::OrderFulfilled>,
        of::<events::StockReserved>,
        of::<events::StockRejected>,
        of::<events::StockReleased>,
        of::<events::StockShipped>,
    ];
    kinds.into_iter().find_map(|kind| kind(event_type, value))
}

fn new(order_id: String, version: u64, occur_time: Option<prost_types::Timestamp>) -> EventJson {
    EventJson {
        order_id,
        customer_id: None,
        lines: None,
        total: None,
        reason: None,
        shortages: None,
        version: version.to_string(),
        occur_time: occur_time.map(|time| time.to_string()),
    }
}

fn lines(lines: Vec<events::EventLine>) -> Option<Vec<LineJson>> {
    let line = |line: events::EventLine| LineJson {
        sku: line.sku,
        quantity: line.quantity,
        unit_price: line.unit_price.map(MoneyJson::from),
    };
    Some(lines.into_iter().map(line).collect())
}

impl From<events::OrderPlaced> for EventJson {
    fn from(event: events::OrderPlaced) -> Self {
        Self {
            customer_id: Some(event.customer_id),
            lines: lines(event.lines),
            ..new(event.order_id, event.version, event.occur_time)
        }
    }
}

impl From<events::OrderConfirmed> for EventJson {
    fn from(event: events::OrderConfirmed) -> Self {
        Self {
            customer_id: Some(event.customer_id),
            lines: lines(event.lines),
            total: event.total.map(MoneyJson::from),
            ..new(event.order_id, event.version, event.occur_time)
        }
    }
}

impl From<events::OrderRejected> for EventJson {
    fn from(event: events::OrderRejected) -> Self {
        Self {
            customer_id: Some(event.customer_id),
            reason: Some(event.reason),
            ..new(event.order_id, event.version, event.occur_time)
        }
    }
}

impl From<events::OrderCancelled> for EventJson {
    fn from(event: events::OrderCancelled) -> Self {
        Self {
            customer_id: Some(event.customer_id),
            reason: Some(event.reason),
            ..new(event.order_id, event.version, event.occur_time)
        }
    }
}

impl From<events::OrderFulfilled> for EventJson {
    fn from(event: events::OrderFulfilled) -> Self {
        Self { customer_id: Some(event.customer_id), ..new(event.order_id, event.version, event.occur_time) }
    }
}

impl From<events::StockReserved> for EventJson {
    fn from(event: events::StockReserved) -> Self {
        Self { lines: lines(event.lines), ..new(event.order_id, event.version, event.occur_time) }
    }
}

impl From<events::StockRejected> for EventJson {
    fn from(event: events::StockRejected) -> Self {
        let shortage = |shortage: events::EventShortage| ShortageJson {
            sku: shortage.sku,
            requested: shortage.requested,
            available: shortage.available.to_string(),
        };
        Self {
            reason: Some(event.reason),
            shortages: Some(event.shortages.into_iter().map(shortage).collect()),
            ..new(event.order_id, event.version, event.occur_time)
        }
    }
}

impl From<events::StockReleased> for EventJson {
    fn from(event: events::StockReleased) -> Self {
        Self { lines: lines(event.lines), ..new(event.order_id, event.version, event.occur_time) }
    }
}

impl From<events::StockShipped> for EventJson {
    fn from(event: events::StockShipped) -> Self {
        Self { lines: lines(event.lines), ..new(event.order_id, event.version, event.occur_time) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_has_the_fields_of_its_message_and_no_others() {
        let line = events::EventLine { sku: "A".to_owned(), quantity: 2, unit_price: None };
        let shipped = events::StockShipped {
            order_id: "o-1".to_owned(),
            lines: vec![line],
            version: 2,
            occur_time: Some(prost_types::Timestamp { seconds: 1_700_000_000, nanos: 0 }),
        };
        let json = event("events.v1.StockShipped", &shipped.encode_to_vec()).expect("it is one");
        let expected = serde_json::json!({
            "orderId": "o-1",
            "lines": [{ "sku": "A", "quantity": 2 }],
            "version": "2",
            "occurTime": "2023-11-14T22:13:20Z",
        });
        assert_eq!(serde_json::to_value(json).expect("it can be serialized"), expected);
    }

    #[test]
    fn what_is_no_event_is_not_shown_as_one() {
        assert!(event("events.v1.OrderPlaced", &[0xff, 0xff]).is_none());
        assert!(event("events.v1.OrderPainted", &[]).is_none());
        assert!(event("", &[]).is_none());
    }
}
