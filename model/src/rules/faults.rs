//! What strikes whoever it likes: replicas that die, and records that nobody can process.

use super::Rules;
use super::calls::set;
use crate::rules::relay::OPEN;
use crate::scenario::Fault;
use crate::services::Services;
use crate::steps::{Call, Kind, name};
use crate::world::{Progress, Side, Sweep, World};

impl Rules {
    pub(super) fn faults(&mut self, world: &World) {
        for side in Side::ALL {
            for replica in 0..2 {
                let what = |_: &Services| format!("{} {replica} dies", name(side));
                self.step(world, Kind::Fault(Fault::Crash), what, |_, world| {
                    crash(world, side, replica);
                    Ok(())
                });
            }
            for partition in 0..usize::from(self.scenario.partitions) {
                for garbage in self.garbage[side.index()] {
                    let what = |services: &Services| {
                        format!("somebody writes {} to the topic of {}", services.words(garbage), name(side))
                    };
                    self.step(world, Kind::Fault(Fault::Garbage), what, |_, world| {
                        world.garbage += 1;
                        world.topics[side.index()][partition].push(garbage);
                        Ok(())
                    });
                }
            }
        }
    }
}

/// What was in its memory is gone; Kafka gives its partitions to the other replica.
fn crash(world: &mut World, side: Side, replica: u8) {
    match side {
        Side::Orders => {
            world.orders_remember[usize::from(replica)] = 0;
            crash_calls(world, replica);
            if replica == 0 {
                world.sweep = Sweep::Idle;
            }
        }
        Side::Inventory => world.inventory_remembers[usize::from(replica)] = 0,
    }
    if world.in_doubt.is_some_and(|(command, by)| command.side() == side && by == replica) {
        world.in_doubt = None;
    }
    let topic = side.other().index();
    if world.zombies[topic].is_some_and(|zombie| zombie.replica == replica) {
        world.zombies[topic] = None;
    }
    if world.readers[topic] == replica {
        world.readers[topic] = 1 - replica;
    }
}

fn crash_calls(world: &mut World, replica: u8) {
    for request in 0..2 {
        for attempt in 0..2 {
            let call = Call { request, attempt };
            if call.replica() != replica {
                continue;
            }
            match world.calls[usize::from(request)][usize::from(attempt)] {
                Progress::Open => {
                    // Rolled back: the outbox id that it drew is never used.
                    let outbox = &mut world.outbox[Side::Orders.index()];
                    let open = outbox.iter().position(|row| row & OPEN != 0).expect("it has drawn an id");
                    outbox.remove(open);
                    set(world, call, Progress::Done);
                }
                // What it has sent may still arrive.
                Progress::Placed { id } => set(world, call, Progress::Abandoned { id }),
                Progress::Answered { .. } => set(world, call, Progress::Done),
                Progress::Idle | Progress::Abandoned { .. } | Progress::Done => {}
            }
        }
    }
}
