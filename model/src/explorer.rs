//! Visits every state that can be reached, breadth first.
//!
//! Each state is kept as it is, not as a hash, so that none is taken for another; a million of them take 200 MB.

mod circles;
mod reached;

use std::collections::BTreeSet;
use std::fmt;
use std::time::{Duration, Instant};

use self::circles::Circles;
use self::reached::Reached;
use crate::invariants;
use crate::rules::Rules;
use crate::scenario::Scenario;
use crate::steps::Kind;
use crate::world::{IDS, World};

/// What was visited.
#[derive(Clone, Debug)]
pub struct Visited {
    /// Different states.
    pub states: usize,
    /// Steps between them.
    pub steps: usize,
    /// Steps of the longest history that has no detour.
    pub depth: usize,
    /// States where nothing more had to happen.
    pub at_rest: usize,
    /// How orders ended there: each order's status and its reservation's.
    pub ends: BTreeSet<String>,
    /// The cells of the protocol's two tables that were met.
    pub cells: BTreeSet<String>,
    /// How long it took.
    pub time: Duration,
}

/// A rule that can be broken, and how.
#[derive(Clone, Debug)]
pub struct Counterexample {
    /// What is wrong in the end.
    pub broken: String,
    /// A shortest history.
    pub steps: Vec<String>,
}

impl fmt::Display for Counterexample {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(formatter, "{}, after", self.broken)?;
        self.steps.iter().enumerate().try_for_each(|(number, step)| writeln!(formatter, "  {}. {step}", number + 1))
    }
}

/// Visits every state of `scenario`.
///
/// # Errors
/// The first broken rule, with a shortest history that leads there.
pub fn explore(scenario: Scenario) -> Result<Visited, Counterexample> {
    let started = Instant::now();
    let mut rules = Rules::new(scenario);
    let mut reached = Reached::from(rules.beginning());
    let mut circles = Circles::default();
    let (mut steps, mut depth, mut at_rest, mut ends) = (0, 0, 0, BTreeSet::new());
    // States of the same depth follow one another: what is reached from them is deeper, or was known.
    let (mut number, mut deeper) = (0_u32, 1);
    while usize::try_from(number).is_ok_and(|number| number < reached.count()) {
        if usize::try_from(number).is_ok_and(|number| number == deeper) {
            depth += 1;
            deeper = reached.count();
        }
        let world = reached.world(number).clone();
        let mut must_go_on = false;
        circles.begin();
        for (step, next) in rules.next(&world) {
            steps += 1;
            must_go_on |= step.kind == Kind::Expected;
            match next {
                Ok(next) => circles.lead_to(reached.number(next, number)),
                Err(broken) => {
                    let mut history = history(&mut rules, &reached, number);
                    history.push(find_step(&mut rules, &world, &Err(broken.clone())));
                    return Err(Counterexample { broken, steps: history });
                }
            }
        }
        if !must_go_on {
            at_rest += 1;
            if let Err(broken) = invariants::at_rest(&rules.services, &world) {
                return Err(Counterexample { broken, steps: history(&mut rules, &reached, number) });
            }
            ends.insert(end(&rules, &world));
        }
        number += 1;
    }
    if circles.exist() {
        return Err(Counterexample { broken: "a history goes round for ever".to_owned(), steps: Vec::new() });
    }
    let cells = rules.services.cells();
    Ok(Visited { states: reached.count(), steps, depth, at_rest, ends, cells, time: started.elapsed() })
}

/// The steps from the beginning to the state of that number, each found again among those that its state allows.
fn history(rules: &mut Rules, reached: &Reached, last: u32) -> Vec<String> {
    rules.in_words = true;
    let way = reached.way_to(last);
    way.windows(2).map(|pair| find_step(rules, pair[0], &Ok(pair[1].clone()))).collect()
}

/// The step from `world` that has this result, in words.
fn find_step(rules: &mut Rules, world: &World, result: &Result<World, String>) -> String {
    let found = rules.next(world).into_iter().find(|(_, next)| next == result);
    found.map_or_else(String::new, |(step, _)| step.to_string())
}

fn end(rules: &Rules, world: &World) -> String {
    let order = |id: usize| {
        let order = rules.services.order(world.orders[id])?;
        let reservation = rules.services.reservation(world.reservations[id])?;
        Some(format!("{:?} and {:?}", order.status, reservation.status))
    };
    let mut ends: Vec<String> = (0..IDS).filter_map(order).collect();
    ends.sort();
    ends.join("; ")
}
