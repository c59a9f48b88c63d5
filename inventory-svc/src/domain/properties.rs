//! Random commands on small random worlds: the ledger must do what a [naive model](model) does, whether the commands come
//! in one batch or in several, and never break I2 on the way.

mod model;
mod world;

use std::collections::{BTreeMap, HashMap};

use proptest::prelude::*;
use proto::values::{OrderId, Sku};
use time::{Duration, OffsetDateTime};

use self::model::Model;
use self::world::{World, worlds};
use super::import::{AppliedRow, RowKey};
use super::ledger::{Ledger, Outcome};
use super::reservation::{Reservation, Status};
use super::stock::{Stock, StockItem};

/// What the store keeps between batches.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stored {
    stock: Stock,
    reservations: BTreeMap<OrderId, Reservation>,
    rows_applied: BTreeMap<RowKey, AppliedRow>,
}

impl Stored {
    fn of(world: &World) -> Self {
        let stock = world.stock.iter().map(|item| (item.sku.clone(), item.clone())).collect();
        Self { stock, ..Self::default() }
    }

    /// A ledger for the next batch.
    fn load(&self) -> Ledger {
        let mut ledger = Ledger::default();
        ledger.stock = self.stock.clone();
        ledger.reservations = self.reservations.clone();
        ledger.rows_applied = self.rows_applied.clone();
        ledger
    }

    /// Writes what a batch says that it has changed, and nothing else.
    fn save(&mut self, ledger: &Ledger) {
        self.stock.extend(ledger.changed_stock().map(|item| (item.sku.clone(), item.clone())));
        let changed = ledger.changed_reservations();
        self.reservations.extend(changed.map(|reservation| (reservation.order_id, reservation.clone())));
        self.rows_applied.clone_from(&ledger.rows_applied);
    }
}

/// A time of its own for each command, so that a change that is dated wrongly is seen.
fn time_of(step: usize) -> OffsetDateTime {
    OffsetDateTime::UNIX_EPOCH + Duration::seconds(i64::try_from(step).unwrap() + 1)
}

/// Applies the commands; a new batch begins wherever `begins_batch` says so.
fn run(world: &World, begins_batch: impl Fn(usize) -> bool) -> (Vec<Outcome>, Stored) {
    let mut stored = Stored::of(world);
    let mut ledger = stored.load();
    let mut outcomes = Vec::new();
    for (step, command) in world.commands.iter().enumerate() {
        if begins_batch(step) {
            stored.save(&ledger);
            ledger = stored.load();
        }
        outcomes.push(ledger.apply(command, time_of(step)));
    }
    stored.save(&ledger);
    (outcomes, stored)
}

/// I2, for one SKU, counted from what is kept as the audit of the databases does; `shipped` from the outcomes.
fn is_sound(item: &StockItem, world: &World, ledger: &Ledger, shipped: &HashMap<Sku, i128>) -> bool {
    let held = ledger.reservations.values().filter(|reservation| reservation.status == Status::Held);
    let lines = held.flat_map(|reservation| &reservation.lines).filter(|line| line.sku == item.sku);
    let held: i128 = lines.map(|line| i128::from(line.quantity.get())).sum();
    let at_first = world.stock.iter().filter(|first| first.sku == item.sku).map(|first| i128::from(first.on_hand));
    let rows = ledger.rows_applied.values().filter(|row| row.sku == item.sku).map(|row| i128::from(row.quantity));
    let imported: i128 = at_first.chain(rows).sum();
    (0..=item.on_hand).contains(&item.reserved)
        && i128::from(item.reserved) == held
        && i128::from(item.on_hand) == imported - shipped.get(&item.sku).copied().unwrap_or_default()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn a_batch_does_what_the_commands_would_do_one_by_one(world in worlds()) {
        let (outcomes, stored) = run(&world, |_| false);
        let mut model = Model::of(&world.stock);
        for (step, (command, outcome)) in world.commands.iter().zip(outcomes).enumerate() {
            prop_assert_eq!(outcome, model.apply(command, time_of(step)), "command {}: {:?}", step, command);
        }
        prop_assert_eq!(stored.stock, model.stock());
        prop_assert_eq!(stored.reservations, model.reservations.into_iter().collect());
        prop_assert_eq!(stored.rows_applied, model.rows_applied.into_iter().collect());
    }

    #[test]
    fn several_batches_do_what_one_does(world in worlds()) {
        let several = run(&world, |step| world.begins_batch[step]);
        prop_assert_eq!(several, run(&world, |_| false));
    }

    #[test]
    fn what_is_held_is_there_after_every_command(world in worlds()) {
        let mut ledger = Stored::of(&world).load();
        let mut shipped: HashMap<Sku, i128> = HashMap::new();
        for (step, command) in world.commands.iter().enumerate() {
            let outcome = ledger.apply(command, time_of(step));
            if let Outcome::Reservation { reservation, changed: true } = &outcome
                && reservation.status == Status::Shipped
            {
                for line in &reservation.lines {
                    *shipped.entry(line.sku.clone()).or_default() += i128::from(line.quantity.get());
                }
            }
            for item in ledger.stock.values() {
                prop_assert!(is_sound(item, &world, &ledger, &shipped), "{item:?} after {command:?}: {outcome:?}");
            }
        }
    }
}
