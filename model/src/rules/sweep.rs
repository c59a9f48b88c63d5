//! The sweep (O4), in replica 0 of order-svc: it reads an unfinished order, calls inventory, and writes what it hears.
//!
//! Its pauses are long against everything else, so that it comes when nothing else is left to do; that it comes while
//! everything is on its way is a fault. An order that it could not take further would be swept for ever: that is found
//! here, when a sweep of which no call was lost leaves an order as it was.

use order_svc::domain::decide::Happening;
use order_svc::domain::order::Status;

use super::Rules;
use crate::scenario::{Fault, Mutant};
use crate::services::Services;
use crate::steps::Kind;
use crate::world::{Answer, Command, IDS, Number, Sweep, World};

impl Rules {
    pub(super) fn sweep(&mut self, world: &World, is_quiet: bool) {
        match world.sweep {
            Sweep::Idle => {
                let comes = is_quiet && self.scenario.sweeps && !self.scenario.is(Mutant::NoSweep);
                let kind = if comes { Kind::Expected } else { Kind::Fault(Fault::EarlySweep) };
                for id in (0..IDS).filter(|id| world.unfinished & (1 << id) != 0) {
                    let (order, id) = (world.orders[id], u8::try_from(id).expect("there are few"));
                    self.step(
                        world,
                        kind,
                        |_| format!("the sweep reads order {id}"),
                        |_, world| {
                            world.sweep = Sweep::Read { id, order };
                            Ok(())
                        },
                    );
                }
            }
            Sweep::Read { id, order } => {
                let command = match self.services.order(order).map(|order| order.status) {
                    Some(Status::Pending) => Some(Command::Reserve { id }),
                    Some(Status::Cancelled) => Some(Command::Close { id, ship: false }),
                    Some(Status::Fulfilled) => Some(Command::Close { id, ship: true }),
                    Some(Status::Confirmed | Status::Rejected) | None => None,
                };
                let what = |_: &Services| format!("the sweep asks inventory to reserve or to close order {id}");
                self.step(world, Kind::Expected, what, |rules, world| {
                    world.sweep = Sweep::Idle;
                    if let Some(command) = command {
                        let answer = rules.commit(world, command, Some(0))?.written.answer;
                        world.sweep = Sweep::Answered { id, order, answer };
                    }
                    Ok(())
                });
                self.losing(world);
            }
            Sweep::Answered { id, order, answer } => {
                let what = |_: &Services| format!("the sweep hears inventory's answer about order {id} and writes it");
                self.step(world, Kind::Expected, what, |rules, world| rules.hear(world, id, order, answer));
                self.losing(world);
            }
        }
    }

    /// Writes what inventory has answered about an order that was read as `order`.
    fn hear(&mut self, world: &mut World, id: u8, order: Number, answer: Answer) -> Result<(), String> {
        world.sweep = Sweep::Idle;
        match self.services.order(order).map(|order| order.status) {
            _ if self.scenario.is(Mutant::ForgetfulSweep) => {}
            Some(Status::Cancelled) => self.closed(world, id, answer, Happening::StockReleased)?,
            Some(Status::Fulfilled) => self.closed(world, id, answer, Happening::StockShipped)?,
            Some(Status::Pending | Status::Confirmed | Status::Rejected) | None => {
                self.complete(world, id, answer, 0)?;
            }
        }
        let is_stuck = world.orders[usize::from(id)] == order && world.unfinished & (1 << id) != 0;
        if is_stuck { Err(format!("O4: the sweep leaves order {id} as it was")) } else { Ok(()) }
    }

    fn closed(&mut self, world: &mut World, id: u8, answer: Answer, happening: Happening) -> Result<(), String> {
        match answer {
            Answer::Happening(_) => {
                let happening = self.services.happening(happening);
                self.happens(world, id, happening, 0)
            }
            Answer::Closed | Answer::Refused => Err(format!("inventory refuses to close order {id}")),
        }
    }

    fn losing(&mut self, world: &World) {
        let what = |_: &Services| "the sweep's call or its answer is lost".to_owned();
        self.step(world, Kind::Fault(Fault::LostCall), what, |_, world| {
            world.sweep = Sweep::Idle;
            Ok(())
        });
    }
}
