//! Outbox to topic. A round (read, send, delete) is one step: that a row is still there although its record is out is seen
//! by nobody, except when the relay dies or freezes in between, and those are faults here.

use super::Rules;
use crate::scenario::{Fault, Mutant};
use crate::services::Services;
use crate::steps::{Kind, name};
use crate::world::{Number, Queue, Side, World};

/// Mark of a row that is not committed.
pub const OPEN: Number = 0x80;
/// Mark of a row that a cursor has passed.
pub const PASSED: Number = 0x40;
/// Rows that a relay has in hand when it dies or freezes, at most.
const IN_HAND: usize = 2;

impl Rules {
    pub(super) fn relays(&mut self, world: &World) {
        for side in Side::ALL {
            let readable = readable(world.outbox[side.index()]);
            for &place in readable.first().into_iter() {
                self.publishing(world, side, place);
            }
            if self.scenario.is(Mutant::AnyOrder) {
                for &place in readable.iter().skip(1) {
                    self.publishing(world, side, place);
                }
            }
            self.dying_and_freezing(world, side, &readable);
            self.thawing(world, side);
        }
    }

    fn publishing(&mut self, world: &World, side: Side, place: usize) {
        let row = world.outbox[side.index()].get(place).expect("it is readable");
        let what = |services: &Services| format!("{}'s relay publishes {}", name(side), services.words(row));
        self.step(world, Kind::Expected, what, |rules, world| {
            rules.append(world, row)?;
            let outbox = &mut world.outbox[side.index()];
            if rules.scenario.is(Mutant::CursorInsteadOfIds) {
                for lower in 0..place {
                    outbox.set(lower, outbox.get(lower).expect("it is lower") | PASSED);
                }
            }
            outbox.remove(place);
            Ok(())
        });
        if self.scenario.is(Mutant::DeleteBeforeSend) {
            let what = |services: &Services| format!("{}'s relay deletes {} and dies", name(side), services.words(row));
            self.step(world, Kind::Fault(Fault::Crash), what, |_, world| {
                world.outbox[side.index()].remove(place);
                Ok(())
            });
        }
    }

    fn dying_and_freezing(&mut self, world: &World, side: Side, readable: &[usize]) {
        let outbox = world.outbox[side.index()];
        let rows: Vec<Number> = readable.iter().take(IN_HAND).filter_map(|place| outbox.get(*place)).collect();
        for count in 1..=rows.len() {
            let what = |_: &Services| {
                format!("{}'s relay sends {count} of its rows and dies before it deletes them", name(side))
            };
            self.step(world, Kind::Fault(Fault::SentTwice), what, |rules, world| {
                rows[..count].iter().try_for_each(|row| rules.append(world, *row))
            });
        }
        if world.frozen_relay[side.index()].is_empty() {
            let what = |_: &Services| {
                format!("{}'s relay freezes with {} rows in hand; another one leads", name(side), rows.len())
            };
            self.step(world, Kind::Fault(Fault::FrozenRelay), what, |_, world| {
                rows.iter().for_each(|row| world.frozen_relay[side.index()].push(*row));
                Ok(())
            });
        }
    }

    /// What the frozen relay sends is acknowledged, and it may live long enough to delete its row.
    fn thawing(&mut self, world: &World, side: Side) {
        let Some(row) = world.frozen_relay[side.index()].get(0) else { return };
        for deletes in [false, true] {
            let end = if deletes { "and deletes it" } else { "and does not delete it" };
            let what =
                |services: &Services| format!("{}'s frozen relay publishes {} {end}", name(side), services.words(row));
            self.step(world, Kind::Optional, what, |rules, world| {
                world.frozen_relay[side.index()].remove(0);
                rules.append(world, row)?;
                let outbox = &mut world.outbox[side.index()];
                if let Some(place) = outbox.iter().position(|other| other == row).filter(|_| deletes) {
                    outbox.remove(place);
                }
                Ok(())
            });
        }
    }

    /// A record at the end of its partition. First occurrences come in version order, and of what is committed (I4).
    pub(super) fn append(&mut self, world: &mut World, row: Number) -> Result<(), String> {
        let event = self.services.event(row);
        // A dead letter goes to a topic that nobody here reads.
        let Some(id) = event.id else { return Ok(()) };
        let place = usize::from(id);
        let committed = match event.side {
            Side::Orders => self.services.order(world.orders[place]).map(|order| order.version),
            Side::Inventory => self.services.reservation(world.reservations[place]).map(|known| known.version),
        };
        if committed.is_none_or(|version| version < event.version) {
            return Err(format!("I4: {} is published and not committed", event.name()));
        }
        let published = &mut world.published[event.side.index()][place];
        if event.version > u16::from(*published) + 1 {
            return Err(format!("I4: version {} of order {id} is published after {published}", event.version));
        }
        *published = (*published).max(u8::try_from(event.version).expect("there are three"));
        let partition = self.partition(id);
        world.topics[event.side.index()][partition].push(row);
        Ok(())
    }
}

/// Where the rows are that a relay reads, by id.
fn readable(outbox: Queue) -> Vec<usize> {
    outbox.iter().enumerate().filter(|(_, row)| row & (OPEN | PASSED) == 0).map(|(place, _)| place).collect()
}
