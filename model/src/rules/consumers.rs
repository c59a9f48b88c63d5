//! Topic to transaction: the position and the effects at once, fenced by the position that is expected (T5).
//!
//! A queue of the world begins at the stored position, so that to move the position is to take off the first record. What a
//! consumer has read and not committed is in its memory only, and seen by nobody; a consumer that freezes with a record in
//! hand is a fault.

use messaging::consumer::Verdict;

use super::{Rules, remembered};
use crate::scenario::{Fault, Mutant};
use crate::services::{Listing, Meaning, Services};
use crate::steps::{Kind, name};
use crate::world::{Command, NONE, Number, Side, World, Zombie};

impl Rules {
    pub(super) fn consumers(&mut self, world: &World) {
        for topic in Side::ALL {
            for partition in 0..self.scenario.partitions {
                if let Some(event) = world.topics[topic.index()][usize::from(partition)].get(0) {
                    self.consuming(world, topic, partition, event);
                }
            }
            self.thawing_consumer(world, topic);
        }
    }

    fn consuming(&mut self, world: &World, topic: Side, partition: u8, event: Number) {
        let replica = world.readers[topic.index()];
        let who = move || format!("{} {replica}", name(topic.other()));
        let what = |services: &Services| format!("{} processes {}", who(), services.words(event));
        self.step(world, Kind::Expected, what, |rules, world| {
            move_position(world, topic, partition);
            rules.process(world, event, replica)
        });
        if self.services.event(event).id.is_some() {
            let what = |services: &Services| format!("{} vanishes from its topic", services.words(event));
            self.step(world, Kind::Fault(Fault::LostRecord), what, |_, world| {
                move_position(world, topic, partition);
                Ok(())
            });
        }
        if world.zombies[topic.index()].is_none() {
            let what = |services: &Services| {
                format!(
                    "{} freezes with {} in hand; the other replica has its partitions",
                    who(),
                    services.words(event)
                )
            };
            self.step(world, Kind::Fault(Fault::FrozenConsumer), what, |_, world| {
                world.zombies[topic.index()] = Some(Zombie { replica, partition, event, moved: 0 });
                world.readers[topic.index()] = 1 - replica;
                Ok(())
            });
        }
        if self.scenario.is(Mutant::PositionBeforeEffects) {
            let what =
                |services: &Services| format!("{} moves its position past {} and dies", who(), services.words(event));
            self.step(world, Kind::Fault(Fault::Crash), what, |_, world| {
                move_position(world, topic, partition);
                Ok(())
            });
        }
    }

    fn thawing_consumer(&mut self, world: &World, topic: Side) {
        let Some(Zombie { replica, partition, event, moved }) = world.zombies[topic.index()] else { return };
        let what =
            |services: &Services| format!("{} {replica} goes on with {}", name(topic.other()), services.words(event));
        self.step(world, Kind::Optional, what, |rules, world| {
            world.zombies[topic.index()] = None;
            match moved {
                0 => {
                    move_position(world, topic, partition);
                    rules.process(world, event, replica)
                }
                // It writes the position that is there already, and nothing says that it was not its own to move.
                1 if rules.scenario.is(Mutant::NoFence) => rules.process(world, event, replica),
                // 0 rows: rolled back.
                _ => Ok(()),
            }
        });
    }

    /// What a consumer does with a record in the transaction that moves the position past it.
    fn process(&mut self, world: &mut World, number: Number, replica: u8) -> Result<(), String> {
        let event = self.services.event(number);
        let (reader, id, version) = (event.side.other(), event.id, event.version);
        let memory = id.map_or(0, |id| remembered(world, reader, replica, id));
        let is_old_news = self.services.is_old_news(number, memory);
        let seen = id.map(|id| &mut world.processed[reader.other().index()][usize::from(id)]);
        let again = seen.is_some_and(|seen| {
            let before = *seen;
            *seen |= 1 << version;
            before == *seen
        });
        match self.services.meaning(number) {
            Meaning::Nothing => Ok(()),
            Meaning::Poison => {
                self.give_up(world, reader);
                Ok(())
            }
            // Garbage: no order of this world.
            Meaning::Command(command) if id.is_none() => {
                match self.services.write(command, NONE, world.stock).verdict {
                    Verdict::Impossible(_) => {
                        self.give_up(world, reader);
                        Ok(())
                    }
                    Verdict::Applied | Verdict::Ignored => {
                        Err("I6: news of an order that nobody has placed".to_owned())
                    }
                }
            }
            Meaning::Command(command) if is_old_news => self.changes_nothing(world, command),
            Meaning::Command(command) => {
                // What inventory's consumer commits its replica does not remember.
                let committed = self.commit(world, command, Some(replica).filter(|_| reader == Side::Orders))?;
                match committed.written.verdict {
                    Verdict::Impossible(why) => {
                        Err(format!("I6: {} is impossible: {why}", self.services.words(number)))
                    }
                    Verdict::Applied if again => Err("I5: a redelivered record changes something".to_owned()),
                    Verdict::Applied if committed.changed => Ok(()),
                    Verdict::Ignored if !committed.changed => Ok(()),
                    Verdict::Applied | Verdict::Ignored => Err("I5: a verdict is not what was done".to_owned()),
                }
            }
        }
    }

    fn give_up(&mut self, world: &mut World, reader: Side) {
        world.dead_letters += 1;
        let letter = self.services.dead_letter(reader);
        world.outbox[reader.index()].push(letter);
    }

    /// What is taken for old news must be: applied, it would have changed nothing.
    fn changes_nothing(&mut self, world: &World, command: Command) -> Result<(), String> {
        let mut applied = world.clone();
        // Looked at from its consequences instead.
        if self.scenario.is(Mutant::RemembersUncommitted) {
            return Ok(());
        }
        let committed = self.commit(&mut applied, command, None)?;
        if committed.written.verdict == Verdict::Ignored
            && !committed.changed
            && committed.written.listing == Listing::Kept
        {
            Ok(())
        } else {
            Err(format!("I5: {command:?} was taken for old news, and is not"))
        }
    }
}

/// Past the first record of a partition, whoever has it in hand.
pub(super) fn move_position(world: &mut World, topic: Side, partition: u8) {
    world.topics[topic.index()][usize::from(partition)].remove(0);
    if let Some(zombie) = &mut world.zombies[topic.index()]
        && zombie.partition == partition
    {
        zombie.moved = (zombie.moved + 1).min(2);
    }
}
