//! The state machine and the table "order is →" of the protocol, cell by cell.

use proto::values::{Currency, CustomerId, Money, OrderId, Quantity, RequestId, Sku};
use time::{Duration, OffsetDateTime};
use uuid::Uuid;

use super::decide::{Decision, Happening, NewOrder, Price, decide, place};
use super::ledger::{Command, Ledger, Outcome, Transition};
use super::order::{Order, Rejection, Status};

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn new_order(number: u128, request_id: &str, fingerprint: u8) -> NewOrder {
    NewOrder {
        order_id: OrderId::from_uuid(Uuid::from_u128(number)),
        customer_id: CustomerId::parse("ada").unwrap(),
        request_id: RequestId::parse(request_id).ok(),
        fingerprint: [fingerprint; 32],
        lines: vec![
            (Sku::parse("a").unwrap(), Quantity::parse(3).unwrap()),
            (Sku::parse("b").unwrap(), Quantity::parse(1).unwrap()),
        ],
    }
}

fn price(sku: &str, units: i64, nanos: i32) -> Price {
    let unit_price = Money::from_parts(Currency::parse("EUR").unwrap(), units, nanos).unwrap();
    Price { sku: Sku::parse(sku).unwrap(), unit_price }
}

fn reserved() -> Happening {
    Happening::StockReserved(vec![price("b", 5, 0), price("a", 1, 500_000_000)])
}

fn rejected() -> Happening {
    Happening::StockRejected(Rejection { reason: "OUT_OF_STOCK".to_owned(), shortages: Vec::new() })
}

fn cancel() -> Happening {
    Happening::Cancel { note: "changed my mind".to_owned() }
}

fn after(order: &Order, happening: &Happening, seconds: i64) -> Order {
    match decide(order, happening, NOW + Duration::seconds(seconds)) {
        Decision::Move(next) => *next,
        other => panic!("{:?} does not move on {happening:?}: {other:?}", order.status),
    }
}

/// An order in each status, by the way that leads there.
fn in_status(status: Status) -> Order {
    let pending = place(&new_order(1, "", 0), NOW);
    match status {
        Status::Pending => pending,
        Status::Confirmed => after(&pending, &reserved(), 1),
        Status::Rejected => after(&pending, &rejected(), 1),
        Status::Cancelled => after(&pending, &cancel(), 1),
        Status::Fulfilled => after(&in_status(Status::Confirmed), &Happening::Fulfill, 2),
    }
}

#[derive(Debug, PartialEq)]
enum Cell {
    To(Status),
    Keep,
    Settled,
    Forbidden,
    DeadLetter,
}

fn cell(status: Status, happening: &Happening) -> Cell {
    match decide(&in_status(status), happening, NOW) {
        Decision::Move(next) => Cell::To(next.status),
        Decision::Keep => Cell::Keep,
        Decision::Settled => Cell::Settled,
        Decision::Forbidden => Cell::Forbidden,
        Decision::Impossible(_) => Cell::DeadLetter,
    }
}

#[test]
fn every_cell_of_the_table_is_as_the_protocol_says() {
    use Cell::{DeadLetter, Forbidden, Keep, Settled, To};
    let columns = [Status::Pending, Status::Confirmed, Status::Fulfilled, Status::Cancelled, Status::Rejected];
    let rows = [
        (reserved(), [To(Status::Confirmed), Keep, Keep, Keep, DeadLetter]),
        (rejected(), [To(Status::Rejected), DeadLetter, DeadLetter, Settled, Keep]),
        (Happening::StockReleased, [DeadLetter, DeadLetter, DeadLetter, Settled, Keep]),
        (Happening::StockShipped, [DeadLetter, DeadLetter, Settled, DeadLetter, DeadLetter]),
        (cancel(), [To(Status::Cancelled), To(Status::Cancelled), Forbidden, Keep, Forbidden]),
        (Happening::Fulfill, [Forbidden, To(Status::Fulfilled), Keep, Forbidden, Forbidden]),
    ];
    for (happening, cells) in rows {
        for (status, expected) in columns.into_iter().zip(cells) {
            assert_eq!(cell(status, &happening), expected, "{status:?} × {happening:?}");
        }
    }
}

#[test]
fn a_confirmed_order_has_prices_and_an_exact_total() {
    let order = in_status(Status::Confirmed);
    let total = order.total.unwrap();
    assert_eq!((total.units(), total.nanos()), (9, 500_000_000));
    assert!(order.lines.iter().all(|line| line.unit_price.is_some()));
}

#[test]
fn a_reservation_with_other_lines_confirms_nothing() {
    let pending = in_status(Status::Pending);
    let other = Happening::StockReserved(vec![price("a", 1, 0)]);
    assert!(matches!(decide(&pending, &other, NOW), Decision::Impossible(_)));
}

#[test]
fn every_version_can_be_told_from_the_last() {
    let fulfilled = in_status(Status::Fulfilled);
    assert_eq!(fulfilled.version, 3);
    assert_eq!(fulfilled.at_version(1).unwrap(), in_status(Status::Pending));
    assert_eq!(fulfilled.at_version(2).unwrap(), in_status(Status::Confirmed));
    assert_eq!(fulfilled.at_version(3).unwrap(), fulfilled);
    assert_eq!(fulfilled.at_version(4), None);
    let cancelled = in_status(Status::Cancelled);
    assert_eq!(cancelled.version, 2);
    assert_eq!(cancelled.at_version(1).unwrap(), in_status(Status::Pending));
}

#[test]
fn one_request_id_in_one_batch_makes_one_order() {
    let mut ledger = Ledger::default();
    ledger.claim(place(&new_order(1, "key", 7), NOW));
    let first = ledger.apply(&Command::Place(new_order(1, "key", 7)), NOW);
    let second = ledger.apply(&Command::Place(new_order(2, "key", 7)), NOW);
    let other = ledger.apply(&Command::Place(new_order(3, "key", 8)), NOW);
    let placed = Some(Transition { from: None, to: Status::Pending });
    assert!(matches!(&first, Outcome::Order { transition, replayed: false, .. } if *transition == placed));
    assert!(matches!(&second, Outcome::Order { order, transition: None, replayed: true } if order.version == 1));
    assert_eq!(other, Outcome::RequestIdReused);
}

#[test]
fn an_order_is_unknown_to_commands_that_come_before_its_placement_in_the_batch() {
    let mut ledger = Ledger::default();
    let new = new_order(1, "key", 7);
    ledger.claim(place(&new, NOW));
    assert_eq!(ledger.apply(&Command::Happen { order_id: new.order_id, happening: cancel() }, NOW), Outcome::NotFound);
    let placed = ledger.apply(&Command::Place(new), NOW);
    assert!(matches!(&placed, Outcome::Order { order, transition: Some(_), .. } if order.version == 1));
    assert_eq!(ledger.moved().count(), 0);
}

#[test]
fn two_commands_for_one_order_in_one_batch_are_each_answered_truly() {
    let mut ledger = Ledger::default();
    let order = in_status(Status::Confirmed);
    ledger.load(order.clone());
    let happen = |happening| Command::Happen { order_id: order.order_id, happening };
    let cancelled = ledger.apply(&happen(cancel()), NOW);
    let fulfilled = ledger.apply(&happen(Happening::Fulfill), NOW);
    assert!(
        matches!(&cancelled, Outcome::Order { order, .. } if order.status == Status::Cancelled && order.version == 3)
    );
    assert!(matches!(&fulfilled, Outcome::Forbidden(order) if order.status == Status::Cancelled));
    assert_eq!(ledger.moved().count(), 1);
    assert_eq!(ledger.unsettled().count(), 1);
}
