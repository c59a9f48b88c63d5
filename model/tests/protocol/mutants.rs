//! A check that finds nothing may be blind: each mechanism is built wrongly once, and found, and the same story without
//! the mutant holds.

use model::explorer::explore;
use model::scenario::{Fault, Mutant, Scenario};

fn is_found(mutant: Mutant, rule: &str, story: Scenario) {
    if let Err(counterexample) = explore(story) {
        panic!("without the mutant {mutant:?}: {counterexample}");
    }
    let counterexample = explore(Scenario { mutant: Some(mutant), ..story }).expect_err("a mutant is found");
    println!("{mutant:?}: {counterexample}");
    assert!(counterexample.broken.contains(rule), "{mutant:?} is found for another reason: {counterexample}");
}

const ONE_ORDER: Scenario = Scenario { requests: 1, ..Scenario::CALM };

#[test]
fn an_answer_before_the_commit_is_found() {
    let story = Scenario { faults: &[Fault::Crash], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::ReplyBeforeCommit, "I1: a caller was told of order 0, which does not exist", story);
}

#[test]
fn a_request_key_that_is_not_unique_is_found() {
    is_found(Mutant::NoRequestKey, "I1: request 0 has made two orders", Scenario { repeats: true, ..ONE_ORDER });
}

#[test]
fn stock_that_is_planned_before_it_is_locked_is_found() {
    is_found(Mutant::NoStockLock, "I2: 1 reserved and 2 held", Scenario::CALM);
}

#[test]
fn an_event_outside_the_transaction_is_found() {
    let story = Scenario { faults: &[Fault::Crash], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::EventOutsideTransaction, "I4: version 2", story);
}

#[test]
fn a_row_that_is_deleted_before_it_is_sent_is_found() {
    let story = Scenario { faults: &[Fault::Crash], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::DeleteBeforeSend, "I4: ", story);
}

#[test]
fn a_cursor_that_passes_a_late_commit_is_found() {
    let story = Scenario { faults: &[Fault::SlowCommit], most_faults: 1, ..Scenario::CALM };
    is_found(Mutant::CursorInsteadOfIds, "I4: ", story);
}

#[test]
fn a_relay_that_keeps_no_order_is_found() {
    is_found(Mutant::AnyOrder, "I4: version 2 of order 0 is published after 0", ONE_ORDER);
}

#[test]
fn a_position_that_moves_before_the_effects_is_found() {
    let story = Scenario { cancels: &[0], faults: &[Fault::Crash], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::PositionBeforeEffects, "order 0 is Cancelled and is never settled", story);
}

#[test]
fn a_position_that_moves_without_its_fence_is_found() {
    let story = Scenario { faults: &[Fault::Garbage, Fault::FrozenConsumer], most_faults: 2, ..ONE_ORDER };
    is_found(Mutant::NoFence, "I6: 1 records became 2 dead letters", story);
}

#[test]
fn a_memory_of_what_was_never_committed_is_found() {
    let story = Scenario { faults: &[Fault::LostCall], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::RemembersUncommitted, "order 0 stays PENDING", story);
}

#[test]
fn an_order_that_is_rejected_for_a_failed_call_is_found() {
    let story = Scenario { faults: &[Fault::LostCall], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::RejectOnError, "order 0 is Rejected and its reservation is nothing", story);
}

#[test]
fn an_order_that_nobody_takes_further_is_found() {
    let faults = &[Fault::LostRecord, Fault::LostCall];
    let story = Scenario { cancels: &[0], sweeps: true, faults, most_faults: 2, ..ONE_ORDER };
    is_found(Mutant::NoSweep, "order 0 stays PENDING", story);
}

#[test]
fn a_sweep_that_does_not_write_what_it_hears_is_found() {
    let story = Scenario { cancels: &[0], sweeps: true, faults: &[Fault::LostRecord], most_faults: 1, ..ONE_ORDER };
    is_found(Mutant::ForgetfulSweep, "O4: the sweep leaves order 0 as it was", story);
}
