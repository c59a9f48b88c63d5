//! The planner and the table "inventory has →" of the protocol, cell by cell.

use proto::values::{Currency, ImportId, Money, OrderId, Quantity, Sku};
use time::OffsetDateTime;
use uuid::Uuid;

use super::import::{ChunkId, ImportRow, RowRefusal};
use super::ledger::{Command, Ledger, Outcome, RowOutcome};
use super::reservation::{Closing, RejectionReason, RequestedLine, Status};
use super::stock::StockItem;

const NOW: OffsetDateTime = OffsetDateTime::UNIX_EPOCH;

fn sku(name: &str) -> Sku {
    Sku::parse(name).unwrap()
}

fn money(currency: &str, units: i64) -> Money {
    Money::from_parts(Currency::parse(currency).unwrap(), units, 0).unwrap()
}

fn ledger(items: &[(&str, &str, i64, i64)]) -> Ledger {
    let mut ledger = Ledger::default();
    for (name, currency, price, on_hand) in items {
        let item = StockItem {
            sku: sku(name),
            name: (*name).to_owned(),
            unit_price: money(currency, *price),
            on_hand: *on_hand,
            reserved: 0,
            update_time: NOW,
        };
        ledger.stock.insert(item.sku.clone(), item);
    }
    ledger
}

fn order(number: u128) -> OrderId {
    OrderId::from_uuid(Uuid::from_u128(number))
}

fn reserve(order_id: OrderId, lines: &[(&str, u32)]) -> Command {
    let line =
        |(name, units): &(&str, u32)| RequestedLine { sku: sku(name), quantity: Quantity::parse(*units).unwrap() };
    Command::Reserve { order_id, lines: lines.iter().map(line).collect() }
}

fn close(order_id: OrderId, closing: Closing) -> Command {
    Command::Close { order_id, closing }
}

fn status_of(outcome: &Outcome) -> (Status, bool) {
    match outcome {
        Outcome::Reservation { reservation, changed } => (reservation.status, *changed),
        other => panic!("no reservation: {other:?}"),
    }
}

fn rejection_of(outcome: Outcome) -> RejectionReason {
    match outcome {
        Outcome::Reservation { reservation, .. } => reservation.rejection.expect("rejected").reason,
        other => panic!("no reservation: {other:?}"),
    }
}

fn levels(ledger: &Ledger, name: &str) -> (i64, i64) {
    let item = &ledger.stock[&sku(name)];
    (item.on_hand, item.reserved)
}

#[test]
fn all_lines_are_held_or_none() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10), ("b", "EUR", 7, 1)]);
    let outcome = ledger.apply(&reserve(order(1), &[("a", 3), ("b", 2)]), NOW);
    assert_eq!(rejection_of(outcome), RejectionReason::OutOfStock);
    assert_eq!((levels(&ledger, "a"), levels(&ledger, "b")), ((10, 0), (1, 0)));
    assert_eq!(status_of(&ledger.apply(&reserve(order(2), &[("a", 3), ("b", 1)]), NOW)), (Status::Held, true));
    assert_eq!((levels(&ledger, "a"), levels(&ledger, "b")), ((10, 3), (1, 1)));
}

#[test]
fn a_sku_in_two_lines_is_not_promised_twice() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    let outcome = ledger.apply(&reserve(order(1), &[("a", 6), ("a", 6)]), NOW);
    assert_eq!(rejection_of(outcome), RejectionReason::OutOfStock);
    assert_eq!(levels(&ledger, "a"), (10, 0));
}

#[test]
fn the_last_unit_goes_to_the_first_order_of_the_batch() {
    let mut ledger = ledger(&[("a", "EUR", 5, 1)]);
    let held: Vec<bool> = (1..=200)
        .map(|number| status_of(&ledger.apply(&reserve(order(number), &[("a", 1)]), NOW)).0 == Status::Held)
        .collect();
    assert!(held[0]);
    assert_eq!(held.iter().filter(|held| **held).count(), 1);
}

#[test]
fn what_can_never_be_charged_is_refused_before_anything_is_held() {
    let mut ledger = ledger(&[("eur", "EUR", 5, 10), ("usd", "USD", 5, 10), ("dear", "EUR", 1_000_000_000, 100_000)]);
    let mixed = ledger.apply(&reserve(order(1), &[("eur", 1), ("usd", 1)]), NOW);
    assert_eq!(rejection_of(mixed), RejectionReason::MixedCurrency);
    let large = ledger.apply(&reserve(order(2), &[("dear", 1001)]), NOW);
    assert_eq!(rejection_of(large), RejectionReason::AmountTooLarge);
    let unknown = ledger.apply(&reserve(order(3), &[("eur", 1), ("none", 1)]), NOW);
    assert_eq!(rejection_of(unknown), RejectionReason::UnknownSku);
    assert!(ledger.stock.values().all(|item| item.reserved == 0));
}

#[test]
fn reserve_on_every_state() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    let (held, released, shipped, rejected, tombstone) = (order(1), order(2), order(3), order(4), order(5));
    for order_id in [held, released, shipped] {
        assert_eq!(status_of(&ledger.apply(&reserve(order_id, &[("a", 1)]), NOW)), (Status::Held, true));
    }
    ledger.apply(&reserve(rejected, &[("a", 99)]), NOW);
    ledger.apply(&close(released, Closing::Release), NOW);
    ledger.apply(&close(shipped, Closing::Ship), NOW);
    ledger.apply(&close(tombstone, Closing::Release), NOW);

    assert_eq!(status_of(&ledger.apply(&reserve(held, &[("a", 1)]), NOW)), (Status::Held, false));
    assert_eq!(ledger.apply(&reserve(held, &[("a", 2)]), NOW), Outcome::Mismatch);
    assert_eq!(ledger.apply(&reserve(released, &[("a", 1)]), NOW), Outcome::OrderClosed);
    assert_eq!(ledger.apply(&reserve(tombstone, &[("a", 1)]), NOW), Outcome::OrderClosed);
    assert_eq!(status_of(&ledger.apply(&reserve(shipped, &[("a", 1)]), NOW)), (Status::Shipped, false));
    assert_eq!(status_of(&ledger.apply(&reserve(rejected, &[("a", 99)]), NOW)), (Status::Rejected, false));
    assert_eq!(levels(&ledger, "a"), (9, 1));
}

#[test]
fn release_on_every_state() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    let (held, shipped, rejected, nothing) = (order(1), order(2), order(3), order(4));
    ledger.apply(&reserve(held, &[("a", 4)]), NOW);
    ledger.apply(&reserve(shipped, &[("a", 2)]), NOW);
    ledger.apply(&reserve(rejected, &[("a", 99)]), NOW);
    ledger.apply(&close(shipped, Closing::Ship), NOW);

    assert_eq!(status_of(&ledger.apply(&close(held, Closing::Release), NOW)), (Status::Released, true));
    assert_eq!(status_of(&ledger.apply(&close(held, Closing::Release), NOW)), (Status::Released, false));
    assert_eq!(status_of(&ledger.apply(&close(nothing, Closing::Release), NOW)), (Status::Released, true));
    assert_eq!(status_of(&ledger.apply(&close(rejected, Closing::Release), NOW)), (Status::Rejected, false));
    assert_eq!(ledger.apply(&close(shipped, Closing::Release), NOW), Outcome::WrongState(Status::Shipped));
    assert_eq!(levels(&ledger, "a"), (8, 0));
}

#[test]
fn ship_on_every_state() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    let (held, released, rejected, nothing) = (order(1), order(2), order(3), order(4));
    ledger.apply(&reserve(held, &[("a", 4)]), NOW);
    ledger.apply(&reserve(rejected, &[("a", 99)]), NOW);
    ledger.apply(&close(released, Closing::Release), NOW);

    assert_eq!(status_of(&ledger.apply(&close(held, Closing::Ship), NOW)), (Status::Shipped, true));
    assert_eq!(status_of(&ledger.apply(&close(held, Closing::Ship), NOW)), (Status::Shipped, false));
    assert_eq!(ledger.apply(&close(released, Closing::Ship), NOW), Outcome::WrongState(Status::Released));
    assert_eq!(ledger.apply(&close(rejected, Closing::Ship), NOW), Outcome::WrongState(Status::Rejected));
    assert_eq!(ledger.apply(&close(nothing, Closing::Ship), NOW), Outcome::NotFound);
    assert_eq!(levels(&ledger, "a"), (6, 0));
}

fn row(number: u64, name: &str, price: Option<i64>, quantity: i64) -> ImportRow {
    ImportRow {
        import_id: ImportId::parse("spring").unwrap(),
        row: number,
        sku: sku(name),
        name: None,
        unit_price: price.map(|units| money("EUR", units)),
        quantity,
    }
}

fn chunk(number: u128, rows: Vec<ImportRow>) -> Command {
    Command::Import { chunk_id: ChunkId::from_uuid(Uuid::from_u128(number)), rows }
}

#[test]
fn rows_of_an_import_apply_once_and_never_below_what_is_held() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    ledger.apply(&reserve(order(1), &[("a", 4)]), NOW);
    let rows = vec![
        row(1, "new", None, 5),
        row(2, "new", Some(3), 5),
        row(2, "new", Some(3), 5),
        row(3, "a", None, -7),
        row(4, "a", None, -6),
        row(5, "a", Some(9), i64::MAX),
    ];
    let outcome = ledger.apply(&chunk(1, rows), NOW);
    let expected = vec![
        RowOutcome::Refused(RowRefusal::NewSkuWithoutPrice),
        RowOutcome::Applied,
        RowOutcome::AlreadyApplied,
        RowOutcome::Refused(RowRefusal::BelowReserved),
        RowOutcome::Applied,
        RowOutcome::Refused(RowRefusal::TooMany),
    ];
    assert_eq!(outcome, Outcome::Imported(expected));
    assert_eq!((levels(&ledger, "new"), levels(&ledger, "a")), ((5, 0), (4, 4)));
    assert_eq!(ledger.stock[&sku("a")].unit_price, money("EUR", 5));
}

#[test]
fn rows_of_one_sku_in_one_chunk_all_count() {
    let mut ledger = ledger(&[]);
    let rows = vec![row(1, "new", Some(3), 5), row(2, "new", None, -4), row(3, "new", Some(7), 2)];
    assert_eq!(ledger.apply(&chunk(1, rows), NOW), Outcome::Imported(vec![RowOutcome::Applied; 3]));
    assert_eq!(levels(&ledger, "new"), (3, 0));
    assert_eq!(ledger.stock[&sku("new")].unit_price, money("EUR", 7));
    assert_eq!(ledger.changed_stock().count(), 1);
}

#[test]
fn a_chunk_that_is_submitted_again_is_answered_as_the_first_time_and_changes_nothing() {
    let mut first = ledger(&[("a", "EUR", 5, 10)]);
    let submitted = chunk(1, vec![row(1, "a", None, 2), row(2, "a", None, 3), row(1, "a", None, 2)]);
    let outcome = first.apply(&submitted, NOW);
    let told = vec![RowOutcome::Applied, RowOutcome::Applied, RowOutcome::AlreadyApplied];
    assert_eq!(outcome, Outcome::Imported(told));

    let mut again = ledger(&[("a", "EUR", 5, 15)]);
    again.rows_applied = first.rows_applied;
    assert_eq!(again.apply(&submitted, NOW), outcome);
    let rows = vec![row(1, "a", None, 2), row(2, "a", None, 3)];
    let later_chunk = again.apply(&chunk(2, rows), NOW);
    assert_eq!(later_chunk, Outcome::Imported(vec![RowOutcome::AlreadyApplied; 2]), "whichever call it is of");
    assert_eq!((levels(&again, "a"), again.changed_stock().count()), ((15, 0), 0));
}

#[test]
fn a_refused_row_leaves_its_number_to_a_later_one() {
    let mut ledger = ledger(&[("a", "EUR", 5, 10)]);
    let rows = vec![row(1, "new", None, 5), row(1, "a", None, 3), row(1, "new", Some(2), 5)];
    let told =
        vec![RowOutcome::Refused(RowRefusal::NewSkuWithoutPrice), RowOutcome::Applied, RowOutcome::AlreadyApplied];
    assert_eq!(ledger.apply(&chunk(1, rows), NOW), Outcome::Imported(told));
    let kept: Vec<_> = ledger.rows_applied.values().map(|row| (row.sku.as_str(), row.quantity)).collect();
    assert_eq!(kept, [("a", 3)], "what is kept is what was applied");
}
