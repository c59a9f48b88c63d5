//! What can happen in a state: the mechanisms of the platform, step by step.
//!
//! - [`calls`]: what callers do, and PlaceOrder's two transactions with inventory's between.
//! - [`relay`]: outbox to topic.
//! - [`consumers`]: topic to transaction.
//! - [`sweep`]: what takes unfinished orders further.
//! - [`faults`]: what strikes whoever it likes.

pub mod calls;
pub mod consumers;
pub mod faults;
pub mod relay;
pub mod sweep;

use crate::invariants;
use crate::scenario::{Fault, Scenario};
use crate::services::{Listing, Services, Written};
use crate::steps::{Kind, Step};
use crate::world::{Command, NONE, Number, Progress, Queue, Side, Sweep, World};

/// A step, and where it leads; or the rule that it breaks.
pub type Next = (Step, Result<World, String>);

/// The rules of a scenario.
pub struct Rules {
    /// The story.
    pub scenario: Scenario,
    /// The code.
    pub services: Services,
    /// Whether steps are told in words, which takes its time.
    pub in_words: bool,
    /// Records that nobody can process, by topic.
    garbage: [[Number; 2]; 2],
    next: Vec<Next>,
}

/// A committed transaction.
struct Committed {
    written: Written,
    /// The order that it was about: of a placement, the one that has the request key.
    id: u8,
    /// Whether a row changed.
    changed: bool,
}

impl Rules {
    /// Of `scenario`.
    #[must_use]
    pub fn new(scenario: Scenario) -> Self {
        let mut services = Services::default();
        let garbage = Side::ALL.map(|side| services.garbage(side));
        Self { scenario, services, in_words: false, garbage, next: Vec::new() }
    }

    /// Before anything has happened: one unit, and nobody has asked for it.
    pub fn beginning(&mut self) -> World {
        World {
            orders: [NONE; 4],
            unfinished: 0,
            reservations: [NONE; 4],
            stock: self.services.one_unit(),
            outbox: [Queue::default(); 2],
            topics: [[Queue::default(); 2]; 2],
            calls: [[Progress::Idle; 2]; 2],
            orders_remember: [0; 2],
            inventory_remembers: [0; 2],
            sweep: Sweep::Idle,
            in_doubt: None,
            frozen_relay: [Queue::default(); 2],
            readers: [0; 2],
            zombies: [None; 2],
            told: [0; 2],
            published: [[0; 4]; 2],
            processed: [[0; 4]; 2],
            garbage: 0,
            dead_letters: 0,
            faults_left: self.scenario.most_faults,
        }
    }

    /// Everything that can happen next.
    pub fn next(&mut self, world: &World) -> Vec<Next> {
        self.calls(world);
        self.relays(world);
        self.consumers(world);
        let is_quiet = !self.next.iter().any(|(step, _)| step.kind == Kind::Expected);
        self.sweep(world, is_quiet);
        self.faults(world);
        std::mem::take(&mut self.next)
    }

    /// A step that changes the world, unless it changes nothing. A fault counts.
    fn step(
        &mut self,
        from: &World,
        kind: Kind,
        what: impl FnOnce(&Services) -> String,
        change: impl FnOnce(&mut Self, &mut World) -> Result<(), String>,
    ) {
        if let Kind::Fault(fault) = kind
            && !self.may_strike(from, fault)
        {
            return;
        }
        let mut world = from.clone();
        let result = change(self, &mut world).and_then(|()| invariants::always(&self.services, &world));
        if result.is_ok() && world == *from {
            return;
        }
        if let Kind::Fault(_) = kind {
            world.faults_left -= 1;
        }
        let what = if self.in_words { what(&self.services) } else { String::new() };
        self.next.push((Step { what, kind }, result.map(|()| world)));
    }

    /// A step that ends with a commit, which may seem in doubt to `replica`: then it submits the same command again.
    fn committing(
        &mut self,
        from: &World,
        kind: Kind,
        what: impl Fn(&Services) -> String,
        (command, replica): (Command, u8),
        change: impl Fn(&mut Self, &mut World) -> Result<(), String>,
    ) {
        self.step(from, kind, &what, &change);
        if from.in_doubt.is_none() {
            self.step(from, Kind::Fault(Fault::InDoubt), what, |rules, world| {
                change(rules, world)?;
                world.in_doubt = Some((command, replica));
                Ok(())
            });
        }
    }

    fn may_strike(&self, world: &World, fault: Fault) -> bool {
        world.faults_left > 0 && self.scenario.faults.contains(&fault)
    }

    /// A transaction: state, event and work list at once. `replica`: whose memory learns of it.
    fn commit(&mut self, world: &mut World, command: Command, replica: Option<u8>) -> Result<Committed, String> {
        let id = self.target(world, command);
        let place = usize::from(id);
        let (before, stock) = match command.side() {
            Side::Orders => (world.orders[place], NONE),
            Side::Inventory => (world.reservations[place], world.stock),
        };
        let written = self.services.write(command, before, stock);
        invariants::moved_rightly(&self.services, command.side(), before, &written)?;
        match command.side() {
            Side::Orders => {
                world.orders[place] = written.row;
                match written.listing {
                    Listing::On => world.unfinished |= 1 << id,
                    Listing::Off => world.unfinished &= !(1 << id),
                    Listing::Kept => {}
                }
            }
            Side::Inventory => {
                world.reservations[place] = written.row;
                world.stock = written.stock;
            }
        }
        if written.event != NONE {
            world.outbox[command.side().index()].push(written.event);
        }
        if let Some(replica) = replica {
            remember(world, command.side(), replica, id, written.memory);
        }
        Ok(Committed { changed: written.row != before || written.stock != stock, written, id })
    }

    /// A request key belongs to one order; everything else names its order itself.
    fn target(&self, world: &World, command: Command) -> u8 {
        let Command::Place { id } = command else { return command.id() };
        let other = id ^ 1;
        let is_taken = world.orders[usize::from(other)] != NONE;
        if is_taken && !self.scenario.is(crate::scenario::Mutant::NoRequestKey) { other } else { id }
    }

    /// The partition of an order's events.
    fn partition(&self, id: u8) -> usize {
        if self.scenario.partitions == 1 { 0 } else { usize::from(id / 2) }
    }
}

fn remember(world: &mut World, side: Side, replica: u8, id: u8, memory: u8) {
    let replica = usize::from(replica);
    match side {
        Side::Orders if memory != 0 => {
            world.orders_remember[replica] &= !(3 << (2 * id));
            world.orders_remember[replica] |= memory << (2 * id);
        }
        Side::Orders => {}
        Side::Inventory => world.inventory_remembers[replica] |= memory << id,
    }
}

fn remembered(world: &World, side: Side, replica: u8, id: u8) -> Number {
    let replica = usize::from(replica);
    match side {
        Side::Orders => (world.orders_remember[replica] >> (2 * id)) & 3,
        Side::Inventory => (world.inventory_remembers[replica] >> id) & 1,
    }
}
