//! What callers do: they place orders, repeat that at another replica, cancel and fulfil. And what PlaceOrder does: commit,
//! Reserve, commit.

use order_svc::domain::decide::Happening;
use order_svc::domain::order::Rejection;

use super::{Rules, remember};
use crate::rules::relay::OPEN;
use crate::scenario::{Fault, Mutant};
use crate::services::Services;
use crate::steps::{Call, Kind};
use crate::world::{Answer, Command, NONE, Number, Progress, Side, World};

impl Rules {
    pub(super) fn calls(&mut self, world: &World) {
        for request in 0..self.scenario.requests {
            for attempt in 0..2 {
                self.call(world, Call { request, attempt });
            }
            for attempt in 0..2 {
                self.moves(world, request, request * 2 + attempt);
            }
        }
        if let Some((command, replica)) = world.in_doubt {
            let what =
                |_: &Services| format!("replica {replica} submits {command:?} again, because its commit was in doubt");
            self.step(world, Kind::Optional, what, |rules, world| {
                world.in_doubt = None;
                let committed = rules.commit(world, command, Some(replica))?;
                if let Command::Place { .. } = command {
                    tell(world, committed.id);
                }
                Ok(())
            });
        }
    }

    fn call(&mut self, world: &World, call: Call) {
        let place = Command::Place { id: call.id() };
        match progress(world, call) {
            Progress::Idle => {
                let other = progress(world, Call { attempt: 1 - call.attempt, ..call });
                let is_time = call.attempt == 0 || (self.scenario.repeats && other != Progress::Idle);
                // A request key that is being inserted is waited for.
                if is_time && other != Progress::Open {
                    let what = |_: &Services| format!("{call} places the order");
                    self.committing(world, Kind::Optional, what, (place, call.replica()), |rules, world| {
                        rules.place(world, call)
                    });
                    self.slow_and_wrong_placements(world, call);
                }
            }
            Progress::Open => {
                let what = |_: &Services| format!("{call} commits at last");
                self.step(world, Kind::Expected, what, |rules, world| rules.commit_open(world, call));
            }
            Progress::Placed { id } => self.reserving(world, call, id),
            Progress::Answered { id, answer } => {
                let command = match answer {
                    Answer::Happening(happening) => Command::Happen { id, happening },
                    Answer::Closed | Answer::Refused => Command::Happen { id, happening: NONE },
                };
                let what = |services: &Services| format!("{call} hears {} and writes it", words(services, answer));
                let complete = |rules: &mut Self, world: &mut World| {
                    set(world, call, Progress::Done);
                    tell(world, id);
                    rules.complete(world, id, answer, call.replica())
                };
                match answer {
                    Answer::Happening(_) => {
                        self.committing(world, Kind::Expected, what, (command, call.replica()), complete);
                    }
                    Answer::Closed | Answer::Refused => self.step(world, Kind::Expected, what, complete),
                }
                let what = |_: &Services| format!("inventory's answer to {call} is lost; the caller hears PENDING");
                self.step(world, Kind::Fault(Fault::LostCall), what, |_, world| {
                    set(world, call, Progress::Done);
                    tell(world, id);
                    Ok(())
                });
            }
            Progress::Abandoned { id } => {
                let what = |_: &Services| format!("the Reserve of {call} arrives late");
                self.step(world, Kind::Optional, what, |rules, world| {
                    set(world, call, Progress::Done);
                    rules.commit(world, Command::Reserve { id }, Some(call.replica())).map(|_| ())
                });
            }
            Progress::Done => {}
        }
    }

    fn place(&mut self, world: &mut World, call: Call) -> Result<(), String> {
        let committed = self.commit(world, Command::Place { id: call.id() }, Some(call.replica()))?;
        let order = self.services.order(world.orders[usize::from(committed.id)]);
        if order.is_some_and(|order| order.status == order_svc::domain::order::Status::Pending) {
            set(world, call, Progress::Placed { id: committed.id });
        } else {
            set(world, call, Progress::Done);
            tell(world, committed.id);
        }
        Ok(())
    }

    fn slow_and_wrong_placements(&mut self, world: &World, call: Call) {
        let id = call.id();
        let is_open = world.outbox[Side::Orders.index()].iter().any(|row| row & OPEN != 0);
        if self.target(world, Command::Place { id }) == id && !is_open {
            let what = |_: &Services| format!("{call} draws an outbox id for its order and does not commit yet");
            self.step(world, Kind::Fault(Fault::SlowCommit), what, |rules, world| {
                let event = rules.services.write(Command::Place { id }, NONE, NONE).event;
                world.outbox[Side::Orders.index()].push(event | OPEN);
                set(world, call, Progress::Open);
                Ok(())
            });
        }
        if self.scenario.is(Mutant::ReplyBeforeCommit) {
            let what = |_: &Services| format!("{call} answers; its replica dies before the commit");
            self.step(world, Kind::Fault(Fault::Crash), what, |_, world| {
                tell(world, id);
                set(world, call, Progress::Done);
                Ok(())
            });
        }
        if self.scenario.is(Mutant::EventOutsideTransaction) {
            let what = |_: &Services| format!("{call} places the order; its replica dies before it writes the event");
            self.step(world, Kind::Fault(Fault::Crash), what, |rules, world| {
                rules.place(world, call)?;
                let outbox = &mut world.outbox[Side::Orders.index()];
                outbox.remove(outbox.len() - 1);
                Ok(())
            });
        }
    }

    fn commit_open(&mut self, world: &mut World, call: Call) -> Result<(), String> {
        self.place(world, call)?;
        // Its row has the id that it drew, not the last one.
        let outbox = &mut world.outbox[Side::Orders.index()];
        let last = outbox.len() - 1;
        let event = outbox.get(last).expect("a placement has an event");
        outbox.remove(last);
        let open = outbox.iter().position(|row| row & OPEN != 0 && row & 63 == event).expect("it has drawn an id");
        let row = outbox.get(open).expect("it is there") & !OPEN;
        outbox.set(open, row);
        Ok(())
    }

    fn reserving(&mut self, world: &World, call: Call, id: u8) {
        let command = Command::Reserve { id };
        let reserve = |rules: &mut Self, world: &mut World| {
            let answer = rules.commit(world, command, Some(call.replica()))?.written.answer;
            set(world, call, Progress::Answered { id, answer });
            Ok(())
        };
        let what = |_: &Services| format!("inventory-svc {} answers the Reserve of {call}", call.replica());
        self.committing(world, Kind::Expected, what, (command, call.replica()), reserve);
        if self.scenario.is(Mutant::NoStockLock) {
            let what =
                |_: &Services| format!("inventory-svc {} plans {call} on stock that it read before", call.replica());
            self.step(world, Kind::Expected, what, |rules, world| {
                world.stock = rules.services.one_unit();
                reserve(rules, world)
            });
        }
        let what = |_: &Services| format!("{call} gives its Reserve up; the caller hears PENDING");
        self.step(world, Kind::Fault(Fault::LostCall), what, |rules, world| {
            tell(world, id);
            set(world, call, Progress::Abandoned { id });
            if rules.scenario.is(Mutant::RejectOnError) {
                let rejection = Rejection { reason: "UNAVAILABLE".to_owned(), shortages: Vec::new() };
                let happening = rules.services.happening(Happening::StockRejected(rejection));
                rules.commit(world, Command::Happen { id, happening }, None)?;
            }
            if rules.scenario.is(Mutant::RemembersUncommitted) {
                set(world, call, Progress::Done);
                remember(world, Side::Inventory, call.replica(), id, 1);
            }
            Ok(())
        });
    }

    /// What inventory has answered happens to the order.
    pub(super) fn complete(&mut self, world: &mut World, id: u8, answer: Answer, replica: u8) -> Result<(), String> {
        match answer {
            Answer::Happening(happening) => self.happens(world, id, happening, replica),
            Answer::Closed => Ok(()),
            Answer::Refused => Err(format!("inventory refuses what order {id} asks of it")),
        }
    }

    /// What a caller of inventory was told happens to the order.
    pub(super) fn happens(&mut self, world: &mut World, id: u8, happening: Number, replica: u8) -> Result<(), String> {
        let committed = self.commit(world, Command::Happen { id, happening }, Some(replica))?;
        match committed.written.verdict {
            messaging::consumer::Verdict::Applied | messaging::consumer::Verdict::Ignored => Ok(()),
            messaging::consumer::Verdict::Impossible(why) => Err(format!("an answer of inventory does not fit: {why}")),
        }
    }

    fn moves(&mut self, world: &World, request: u8, id: u8) {
        let mut may = Vec::new();
        if self.scenario.cancels.contains(&request) {
            may.push(("cancelled", Happening::Cancel { note: String::new() }));
        }
        if self.scenario.fulfils.contains(&request) {
            may.push(("fulfilled", Happening::Fulfill));
        }
        if world.orders[usize::from(id)] == NONE {
            return;
        }
        for (word, happening) in may {
            let command = Command::Happen { id, happening: self.services.happening(happening) };
            let what = |_: &Services| format!("order {id} is {word}");
            self.committing(world, Kind::Optional, what, (command, 0), |rules, world| {
                rules.commit(world, command, None).map(|_| ())
            });
        }
    }
}

fn words(services: &Services, answer: Answer) -> &'static str {
    match answer {
        Answer::Happening(happening) => services.happening_name(happening),
        Answer::Closed => "ORDER_CLOSED",
        Answer::Refused => "an error",
    }
}

fn progress(world: &World, call: Call) -> Progress {
    world.calls[usize::from(call.request)][usize::from(call.attempt)]
}

pub(super) fn set(world: &mut World, call: Call, progress: Progress) {
    world.calls[usize::from(call.request)][usize::from(call.attempt)] = progress;
}

/// The caller learns the order's id.
fn tell(world: &mut World, id: u8) {
    world.told[usize::from(id / 2)] |= 1 << (id % 2);
}
