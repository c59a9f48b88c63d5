//! The rules I1 to I6, as far as a state or a step can be asked. I4, I5 and I6 are also asserted where records are
//! [published](crate::rules::relay) and [processed](crate::rules::consumers).

use inventory_svc::domain::reservation::{Reservation, Status as Stock};
use order_svc::domain::order::{Order, Status};

use crate::services::{Services, Written};
use crate::world::{IDS, NONE, Number, Side, Sweep, World};

/// Units that there were in the beginning.
const IN_THE_BEGINNING: i64 = 1;

/// What holds in every state.
///
/// # Errors
/// Says which rule is broken.
pub fn always(services: &Services, world: &World) -> Result<(), String> {
    for request in 0..2 {
        let told = world.told[request];
        if told.count_ones() > 1 {
            return Err(format!("I1: the callers of request {request} were told of two orders"));
        }
        let ids = [2 * request, 2 * request + 1];
        if ids.iter().all(|id| world.orders[*id] != NONE) {
            return Err(format!("I1: request {request} has made two orders"));
        }
        for (attempt, id) in ids.into_iter().enumerate() {
            if told & (1 << attempt) != 0 && world.orders[id] == NONE {
                return Err(format!("I1: a caller was told of order {id}, which does not exist"));
            }
        }
    }
    stock(services, world)?;
    for (id, order, reservation) in pairs(services, world) {
        let (order, stock) = (order.map(|order| order.status), reservation.map(|known| known.status));
        if !fit(order, stock) {
            let (order, stock) = (word(order.as_ref()), word(stock.as_ref()));
            return Err(format!("I2: order {id} is {order} and its reservation is {stock}"));
        }
    }
    if world.dead_letters > world.garbage {
        return Err(format!("I6: {} records became {} dead letters", world.garbage, world.dead_letters));
    }
    Ok(())
}

/// What holds when nothing more has to happen.
///
/// # Errors
/// Says which rule is broken.
pub fn at_rest(services: &Services, world: &World) -> Result<(), String> {
    for (id, order, reservation) in pairs(services, world) {
        let Some(order) = order else { continue };
        let status = order.status;
        if status == Status::Pending {
            return Err(format!("order {id} stays PENDING"));
        }
        if world.unfinished & (1 << id) != 0 {
            return Err(format!("order {id} is {status:?} and is never settled"));
        }
        let settled = match (status, reservation.map(|known| known.status)) {
            (Status::Confirmed, Some(Stock::Held)) | (Status::Fulfilled, Some(Stock::Shipped)) => true,
            (Status::Cancelled, Some(Stock::Released | Stock::Rejected)) => true,
            (Status::Rejected, Some(Stock::Rejected)) => true,
            (Status::Pending | Status::Confirmed | Status::Rejected | Status::Cancelled | Status::Fulfilled, _) => {
                false
            }
        };
        if !settled {
            let stock = word(reservation.map(|known| known.status).as_ref());
            return Err(format!("order {id} is {status:?} and its reservation stays {stock}"));
        }
        let versions = [order.version, reservation.map_or(0, |known| known.version)];
        for (published, version) in world.published.iter().zip(versions) {
            if u16::from(published[id]) != version {
                return Err(format!("I4: order {id}: versions up to {} of {version} were published", published[id]));
            }
        }
    }
    if world.outbox.iter().any(|outbox| !outbox.is_empty()) {
        return Err("I4: a row stays in an outbox".to_owned());
    }
    if world.topics.iter().flatten().any(|topic| !topic.is_empty()) || world.sweep != Sweep::Idle {
        return Err("a record is never processed, or the sweep stands still".to_owned());
    }
    if world.dead_letters != world.garbage {
        return Err(format!("I6: {} records became {} dead letters", world.garbage, world.dead_letters));
    }
    Ok(())
}

/// What holds of a transaction: a row that changes moves along its state machine, by one version, with one event (I3).
///
/// # Errors
/// Says which rule is broken.
pub fn moved_rightly(services: &Services, side: Side, before: Number, written: &Written) -> Result<(), String> {
    if written.row == before {
        return if written.event == NONE { Ok(()) } else { Err("I3: an event of no move".to_owned()) };
    }
    let (versions, is_move) = match side {
        Side::Orders => {
            let (from, to) = (services.order(before), services.order(written.row));
            let status = |order: Option<&Order>| order.map(|order| order.status);
            let is_move = matches!(
                (status(from), status(to)),
                (None, Some(Status::Pending))
                    | (Some(Status::Pending), Some(Status::Confirmed | Status::Rejected | Status::Cancelled))
                    | (Some(Status::Confirmed), Some(Status::Fulfilled | Status::Cancelled))
            );
            ([from, to].map(|order| order.map_or(0, |order| order.version)), is_move)
        }
        Side::Inventory => {
            let (from, to) = (services.reservation(before), services.reservation(written.row));
            let status = |known: Option<&Reservation>| known.map(|known| known.status);
            let is_move = matches!(
                (status(from), status(to)),
                (None, Some(Stock::Held | Stock::Rejected | Stock::Released))
                    | (Some(Stock::Held), Some(Stock::Released | Stock::Shipped))
            );
            ([from, to].map(|known| known.map_or(0, |known| known.version)), is_move)
        }
    };
    if written.event == NONE {
        return Err("I3: a move without an event".to_owned());
    }
    let event = services.event(written.event).version;
    if is_move && versions[1] == versions[0] + 1 && event == versions[1] {
        Ok(())
    } else {
        Err(format!("I3: from version {} to {}, event {event}; a move: {is_move}", versions[0], versions[1]))
    }
}

/// I2.
fn stock(services: &Services, world: &World) -> Result<(), String> {
    let item = services.stock(world.stock);
    let (mut held, mut shipped) = (0, 0);
    for (_, _, reservation) in pairs(services, world) {
        let Some(known) = reservation else { continue };
        let units: i64 = known.lines.iter().map(|line| i64::from(line.quantity.get())).sum();
        match known.status {
            Stock::Held => held += units,
            Stock::Shipped => shipped += units,
            Stock::Released | Stock::Rejected => {}
        }
    }
    if item.reserved < 0 || item.reserved > item.on_hand {
        return Err(format!("I2: {} of {} are reserved", item.reserved, item.on_hand));
    }
    if item.reserved != held || item.on_hand != IN_THE_BEGINNING - shipped {
        return Err(format!(
            "I2: {} reserved and {held} held; {} on hand and {shipped} shipped",
            item.reserved, item.on_hand
        ));
    }
    Ok(())
}

/// Whether an order and its reservation can be so at the same moment: inventory is ahead when it decides, order-svc is
/// ahead when an order ends.
fn fit(order: Option<Status>, stock: Option<Stock>) -> bool {
    match order {
        None => stock.is_none(),
        Some(Status::Pending) => matches!(stock, None | Some(Stock::Held | Stock::Rejected)),
        Some(Status::Confirmed) => stock == Some(Stock::Held),
        Some(Status::Rejected) => stock == Some(Stock::Rejected),
        Some(Status::Cancelled) => stock != Some(Stock::Shipped),
        Some(Status::Fulfilled) => matches!(stock, Some(Stock::Held | Stock::Shipped)),
    }
}

fn word<T: std::fmt::Debug>(status: Option<&T>) -> String {
    status.map_or_else(|| "nothing".to_owned(), |status| format!("{status:?}"))
}

fn pairs<'a>(
    services: &'a Services,
    world: &'a World,
) -> impl Iterator<Item = (usize, Option<&'a Order>, Option<&'a Reservation>)> {
    (0..IDS).map(|id| (id, services.order(world.orders[id]), services.reservation(world.reservations[id])))
}
