//! Random commands on small random worlds: the ledger must do what a [naive model](model) does, whether the commands come
//! in one batch or in several, and never break I2 on the way.

mod model;
mod world;

use std::collections::{BTreeMap, BTreeSet, HashMap};

use proptest::prelude::*;
use proto::values::{OrderId, Sku};
use time::{Duration, OffsetDateTime};

use self::model::Model;
use self::world::{World, worlds};
use super::ledger::{Command, Ledger, Outcome, RowOutcome};
use super::reservation::{Reservation, Status};
use super::stock::{Stock, StockItem};

/// What the store keeps between batches.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stored {
    stock: Stock,
    reservations: BTreeMap<OrderId, Reservation>,
    rows_applied: BTreeSet<(String, u64)>,
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
        ledger.rows_applied_before = self.rows_applied.clone();
        ledger
    }

    /// Writes what a batch says that it has changed, and nothing else.
    fn save(&mut self, ledger: &Ledger) {
        self.stock.extend(ledger.changed_stock().map(|item| (item.sku.clone(), item.clone())));
        let changed = ledger.changed_reservations();
        self.reservations.extend(changed.map(|reservation| (reservation.order_id, reservation.clone())));
        self.rows_applied.clone_from(&ledger.rows_applied_before);
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

/// Units of each SKU that came in and went out, counted from the outcomes alone.
struct Flows {
    imported: HashMap<Sku, i128>,
    shipped: HashMap<Sku, i128>,
}

impl Flows {
    fn of(world: &World) -> Self {
        let imported = world.stock.iter().map(|item| (item.sku.clone(), item.on_hand.into())).collect();
        Self { imported, shipped: HashMap::new() }
    }

    fn count(&mut self, command: &Command, outcome: &Outcome) {
        match (command, outcome) {
            (Command::Import { rows }, Outcome::Imported(outcomes)) => {
                for (row, _) in rows.iter().zip(outcomes).filter(|(_, outcome)| **outcome == RowOutcome::Applied) {
                    *self.imported.entry(row.sku.clone()).or_default() += i128::from(row.quantity);
                }
            }
            (_, Outcome::Reservation { reservation, changed: true }) if reservation.status == Status::Shipped => {
                for line in &reservation.lines {
                    *self.shipped.entry(line.sku.clone()).or_default() += i128::from(line.quantity.get());
                }
            }
            _ => {}
        }
    }

    /// I2, for one SKU.
    fn allow(&self, item: &StockItem, reservations: &BTreeMap<OrderId, Reservation>) -> bool {
        let held = reservations.values().filter(|reservation| reservation.status == Status::Held);
        let lines = held.flat_map(|reservation| &reservation.lines).filter(|line| line.sku == item.sku);
        let held: i128 = lines.map(|line| i128::from(line.quantity.get())).sum();
        let units = |flow: &HashMap<Sku, i128>| flow.get(&item.sku).copied().unwrap_or_default();
        (0..=item.on_hand).contains(&item.reserved)
            && i128::from(item.reserved) == held
            && i128::from(item.on_hand) == units(&self.imported) - units(&self.shipped)
    }
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
        let mut flows = Flows::of(&world);
        for (step, command) in world.commands.iter().enumerate() {
            let outcome = ledger.apply(command, time_of(step));
            flows.count(command, &outcome);
            for item in ledger.stock.values() {
                prop_assert!(flows.allow(item, &ledger.reservations), "{item:?} after {command:?}: {outcome:?}");
            }
        }
    }
}
