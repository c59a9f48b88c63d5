//! Random commands for a few orders: the ledger must do what a [naive model](model) of the state machine does, whether the
//! commands come in one batch or in several (I3, T2).

mod history;
mod model;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use proptest::prelude::*;
use proto::values::OrderId;
use time::{Duration, OffsetDateTime};

use self::history::{History, histories};
use self::model::Model;
use super::decide;
use super::ledger::{Command, Ledger, Outcome};
use super::order::{Order, Status};

/// What the store keeps between batches.
#[derive(Clone, Debug, Default, PartialEq)]
struct Stored {
    orders: BTreeMap<OrderId, Order>,
    /// The sweep's work list.
    unfinished: BTreeSet<OrderId>,
}

impl Stored {
    /// A ledger for the next batch, as the store makes it: before anything is decided it inserts each order whose id and
    /// request key are free, the first of each key.
    fn load(&mut self, batch: &[(OffsetDateTime, &Command)]) -> Ledger {
        let mut ledger = Ledger::default();
        self.orders.values().for_each(|order| ledger.load(order.clone()));
        let key = |customer_id, request_id| Some((customer_id, request_id?));
        let stored = self.orders.values().filter_map(|order| key(order.customer_id.clone(), order.request_id.clone()));
        let mut keys: HashSet<_> = stored.collect();
        for (now, command) in batch {
            let Command::Place(new) = command else { continue };
            let key_is_free = key(new.customer_id.clone(), new.request_id.clone()).is_none_or(|key| keys.insert(key));
            if key_is_free && !self.orders.contains_key(&new.order_id) {
                let order = decide::place(new, *now);
                self.orders.insert(order.order_id, order.clone());
                ledger.claim(order);
            }
        }
        ledger
    }

    /// Writes what a batch says that it has changed, and nothing else.
    fn save(&mut self, ledger: &Ledger, outcomes: &[Outcome]) {
        self.orders.extend(ledger.moved().map(|order| (order.order_id, order.clone())));
        let placed = transitions(outcomes).filter(|(_, _, to)| *to == Status::Pending);
        self.unfinished.extend(placed.map(|(order_id, ..)| order_id).chain(ledger.unsettled()));
        let finished: BTreeSet<OrderId> = ledger.finished().collect();
        assert!(
            ledger.unsettled().all(|order_id| !finished.contains(&order_id)),
            "an order goes on or comes off the list"
        );
        self.unfinished.retain(|order_id| !finished.contains(order_id));
    }
}

/// The moves that the outcomes tell of: which order, its version then, its status then. Each is an event.
fn transitions(outcomes: &[Outcome]) -> impl Iterator<Item = (OrderId, u16, Status)> {
    outcomes.iter().filter_map(|outcome| match outcome {
        Outcome::Order { order, transition: Some(transition), .. } => {
            Some((order.order_id, order.version, transition.to))
        }
        _ => None,
    })
}

/// Each command with a time of its own, so that a move that is dated wrongly is seen.
fn timed(history: &History) -> Vec<(OffsetDateTime, &Command)> {
    let time = |step: usize| OffsetDateTime::UNIX_EPOCH + Duration::seconds(i64::try_from(step).unwrap() + 1);
    history.commands.iter().enumerate().map(|(step, command)| (time(step), command)).collect()
}

/// Applies the commands in batches of these sizes, and the rest in a last one.
fn run(history: &History, sizes: &[usize]) -> (Vec<Outcome>, Stored) {
    let mut stored = Stored::default();
    let mut all = Vec::new();
    let timed = timed(history);
    let mut rest = timed.as_slice();
    for size in sizes.iter().copied().chain([usize::MAX]) {
        let (batch, later) = rest.split_at(size.min(rest.len()));
        let mut ledger = stored.load(batch);
        let outcomes: Vec<Outcome> = batch.iter().map(|(now, command)| ledger.apply(command, *now)).collect();
        stored.save(&ledger, &outcomes);
        all.extend(outcomes);
        rest = later;
    }
    (all, stored)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(700))]

    #[test]
    fn a_batch_does_what_the_commands_would_do_one_by_one(history in histories()) {
        let (outcomes, stored) = run(&history, &[]);
        let mut model = Model::default();
        for ((now, command), outcome) in timed(&history).into_iter().zip(outcomes) {
            prop_assert_eq!(model::without_words(outcome), model.apply(command, now), "{:?}", command);
        }
        prop_assert_eq!(stored.orders.len(), model.versions.len());
        for (order_id, order) in &stored.orders {
            let versions = &model.versions[order_id];
            prop_assert_eq!(usize::from(order.version), versions.len());
            for (number, version) in (1..).zip(versions) {
                prop_assert_eq!(order.at_version(number), Some(version.clone()));
            }
        }
        prop_assert_eq!(stored.unfinished, model.unfinished.into_iter().collect());
    }

    #[test]
    fn several_batches_do_what_one_does(history in histories()) {
        prop_assert_eq!(run(&history, &history.batches), run(&history, &[]));
    }

    #[test]
    fn every_version_has_one_event_and_they_come_in_order(history in histories()) {
        let (outcomes, stored) = run(&history, &history.batches);
        let mut versions: HashMap<OrderId, u16> = HashMap::new();
        for (order_id, version, _) in transitions(&outcomes) {
            let last = versions.insert(order_id, version).unwrap_or_default();
            prop_assert_eq!(version, last + 1, "of order {}", order_id);
        }
        for (order_id, order) in stored.orders {
            prop_assert_eq!(versions.get(&order_id), Some(&order.version));
        }
    }
}
