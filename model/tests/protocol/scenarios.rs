use std::collections::BTreeSet;

use model::explorer::{Visited, explore};
use model::scenario::{Fault, Scenario};

/// Faults that events alone must heal, without the sweep.
const TRANSIENT: &[Fault] = &[
    Fault::Crash,
    Fault::LostCall,
    Fault::InDoubt,
    Fault::SentTwice,
    Fault::FrozenRelay,
    Fault::FrozenConsumer,
    Fault::SlowCommit,
];

/// Visits everything, and says how much that was.
fn holds(scenario: Scenario) -> Visited {
    match explore(scenario) {
        Ok(visited) => {
            println!(
                "{}: {} states, {} steps, depth {}, {} at rest, {} cells of the tables met, {:.1} s",
                scenario.name,
                visited.states,
                visited.steps,
                visited.depth,
                visited.at_rest,
                visited.cells.len(),
                visited.time.as_secs_f64()
            );
            let impossible: Vec<_> = visited.cells.iter().filter(|cell| cell.ends_with("impossible")).collect();
            assert!(impossible.is_empty(), "no dead letter but of garbage (I6): {impossible:?}");
            visited
        }
        Err(counterexample) => panic!("{}: {counterexample}", scenario.name),
    }
}

fn set(words: &[&str]) -> BTreeSet<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

#[test]
fn two_orders_share_the_last_unit_whoever_repeats_cancels_or_fulfils() {
    let visited = holds(Scenario { name: "no fault", repeats: true, cancels: &[0], fulfils: &[1], ..Scenario::CALM });
    // One of the two has the unit at a time; who is cancelled makes room only for who asks afterwards.
    let both = visited.ends.into_iter().filter(|end| end.contains("; ")).collect::<BTreeSet<_>>();
    assert_eq!(
        both,
        set(&[
            "Cancelled and Rejected; Confirmed and Held",
            "Cancelled and Rejected; Fulfilled and Shipped",
            "Cancelled and Released; Confirmed and Held",
            "Cancelled and Released; Fulfilled and Shipped",
            "Cancelled and Released; Rejected and Rejected",
            "Confirmed and Held; Rejected and Rejected",
            "Fulfilled and Shipped; Rejected and Rejected",
        ])
    );
}

#[test]
fn events_alone_bring_two_orders_to_their_end_after_any_one_fault() {
    holds(Scenario {
        name: "two orders, one fault",
        cancels: &[0],
        faults: TRANSIENT,
        most_faults: 1,
        ..Scenario::CALM
    });
}

#[test]
fn events_alone_bring_a_repeated_order_to_its_end_after_any_two_faults() {
    holds(Scenario {
        name: "one order, two faults",
        requests: 1,
        repeats: true,
        cancels: &[0],
        fulfils: &[0],
        faults: TRANSIENT,
        most_faults: 2,
        ..Scenario::CALM
    });
}

#[test]
fn the_order_of_partitions_does_not_matter() {
    holds(Scenario { name: "two partitions", partitions: 2, faults: TRANSIENT, most_faults: 1, ..Scenario::CALM });
}

#[test]
fn the_sweep_takes_every_order_to_its_end_whatever_is_lost() {
    let visited = holds(Scenario {
        name: "lost records",
        requests: 1,
        repeats: true,
        cancels: &[0],
        fulfils: &[0],
        sweeps: true,
        faults: &[Fault::LostRecord, Fault::EarlySweep, Fault::LostCall, Fault::Crash, Fault::SentTwice],
        most_faults: 2,
        ..Scenario::CALM
    });
    assert!(visited.cells.contains("Release meets nothing: applied"), "a tombstone: {:?}", visited.cells);
}

#[test]
fn garbage_becomes_one_dead_letter_and_holds_nobody_up() {
    holds(Scenario {
        name: "garbage",
        requests: 1,
        cancels: &[0],
        fulfils: &[0],
        faults: &[Fault::Garbage, Fault::FrozenConsumer, Fault::FrozenRelay, Fault::SentTwice, Fault::Crash],
        most_faults: 2,
        ..Scenario::CALM
    });
}
