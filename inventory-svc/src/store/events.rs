//! The event of a reservation's new version.

use messaging::outbox::OutboxRecord;
use observability::propagation::TraceHeaders;
use proto::events::v1 as events;
use proto::topics;
use proto::values::timestamp;

use crate::domain::ledger::Outcome;
use crate::domain::reservation::{Reservation, ReservedLine, Shortage, Status};

/// The outbox row of an outcome that changed a reservation: every version has exactly one.
#[must_use]
pub fn event_of(outcome: &Outcome, trace: &TraceHeaders) -> Option<OutboxRecord> {
    let Outcome::Reservation { reservation, changed: true } = outcome else { return None };
    let order_id = reservation.order_id.to_string();
    let version = u64::from(reservation.version);
    let occur_time = Some(timestamp(reservation.update_time));
    Some(match reservation.status {
        Status::Held => {
            let lines = lines(&reservation.lines);
            record(reservation, &events::StockReserved { order_id, lines, version, occur_time }, trace)
        }
        Status::Rejected => {
            let rejection = reservation.rejection.as_ref();
            let event = events::StockRejected {
                order_id,
                reason: rejection.map_or("", |rejection| rejection.reason.as_str()).to_owned(),
                shortages: rejection.map_or_else(Vec::new, |rejection| shortages(&rejection.shortages)),
                version,
                occur_time,
            };
            record(reservation, &event, trace)
        }
        Status::Released => {
            let lines = lines(&reservation.lines);
            record(reservation, &events::StockReleased { order_id, lines, version, occur_time }, trace)
        }
        Status::Shipped => {
            let lines = lines(&reservation.lines);
            record(reservation, &events::StockShipped { order_id, lines, version, occur_time }, trace)
        }
    })
}

fn record(reservation: &Reservation, message: &impl prost::Name, trace: &TraceHeaders) -> OutboxRecord {
    let (order_id, time) = (reservation.order_id.uuid(), reservation.update_time);
    OutboxRecord::event(topics::INVENTORY, order_id, message, time, trace.clone())
}

fn lines(lines: &[ReservedLine]) -> Vec<events::EventLine> {
    let line = |line: &ReservedLine| events::EventLine {
        sku: line.sku.to_string(),
        quantity: line.quantity.get(),
        unit_price: line.unit_price.map(Into::into),
    };
    lines.iter().map(line).collect()
}

fn shortages(shortages: &[Shortage]) -> Vec<events::EventShortage> {
    let shortage = |shortage: &Shortage| events::EventShortage {
        sku: shortage.sku.to_string(),
        requested: shortage.requested,
        available: shortage.available,
    };
    shortages.iter().map(shortage).collect()
}
