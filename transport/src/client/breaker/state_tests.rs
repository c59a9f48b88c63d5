use proptest::prelude::*;

use super::*;

/// A breaker and a clock that only tests move.
struct World {
    breaker: Breaker,
    now: Instant,
}

impl World {
    fn new() -> Self {
        let now = Instant::now();
        Self { breaker: Breaker::new(now), now }
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    fn admit(&mut self) -> Option<Permit> {
        self.breaker.admit(self.now)
    }

    fn settle(&mut self, permit: Permit, verdict: Verdict) {
        self.breaker.settle(permit, verdict, self.now);
    }

    fn attempts(&mut self, count: usize, verdict: Verdict) {
        for _ in 0..count {
            let permit = self.admit().unwrap();
            self.settle(permit, verdict);
        }
    }

    fn opened() -> Self {
        let mut world = Self::new();
        world.attempts(20, Verdict::Failure);
        assert_eq!(world.breaker.state(), State::Open);
        world
    }
}

#[test]
fn twenty_attempts_of_which_half_failed_open_it_and_fewer_do_not() {
    let mut world = World::new();
    world.attempts(10, Verdict::Success);
    world.attempts(9, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Closed);
    world.attempts(1, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Open);
    assert!(world.admit().is_none());

    let mut world = World::new();
    world.attempts(19, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Closed);

    let mut world = World::new();
    world.attempts(21, Verdict::Success);
    world.attempts(20, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Closed);
}

#[test]
fn failures_of_long_ago_do_not_open_it() {
    let mut world = World::new();
    world.attempts(19, Verdict::Failure);
    world.pass(10);
    world.attempts(19, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Closed);
}

#[test]
fn attempts_that_show_nothing_do_not_count() {
    let mut world = World::new();
    world.attempts(100, Verdict::Unknown);
    world.attempts(19, Verdict::Failure);
    assert_eq!(world.breaker.state(), State::Closed);
}

#[test]
fn after_thirty_seconds_one_probe_decides() {
    for (verdict, state) in [(Verdict::Success, State::Closed), (Verdict::Failure, State::Open)] {
        let mut world = World::opened();
        world.pass(29);
        assert!(world.admit().is_none());
        world.pass(1);
        let probe = world.admit().unwrap();
        assert_eq!(world.breaker.state(), State::HalfOpen);
        assert!(world.admit().is_none(), "one probe at a time");
        world.settle(probe, verdict);
        assert_eq!(world.breaker.state(), state);
    }
}

#[test]
fn probe_that_failed_opens_it_for_the_whole_time_again() {
    let mut world = World::opened();
    world.pass(30);
    world.attempts(1, Verdict::Failure);
    world.pass(29);
    assert!(world.admit().is_none());
    world.pass(1);
    assert!(world.admit().is_some());
}

#[test]
fn probe_whose_caller_gave_up_makes_room_for_another() {
    let mut world = World::opened();
    world.pass(30);
    world.attempts(1, Verdict::Unknown);
    assert_eq!(world.breaker.state(), State::HalfOpen);
    assert!(world.admit().is_some());
}

#[test]
fn health_that_was_asked_after_it_opened_ends_it_early_and_older_health_does_not() {
    let mut world = World::opened();
    world.breaker.peer_is_serving(world.now - Duration::from_millis(1));
    assert_eq!(world.breaker.state(), State::Open);
    world.pass(2);
    world.breaker.peer_is_serving(world.now);
    assert_eq!(world.breaker.state(), State::HalfOpen);
    world.attempts(1, Verdict::Success);
    assert_eq!(world.breaker.state(), State::Closed);
    world.breaker.peer_is_serving(world.now);
    assert_eq!(world.breaker.state(), State::Closed);
}

#[test]
fn what_was_admitted_before_a_change_says_nothing_after_it() {
    let mut world = World::new();
    let late: Vec<_> = (0..30).map(|_| world.admit().unwrap()).collect();
    world.attempts(20, Verdict::Failure);
    world.pass(30);
    let probe = world.admit().unwrap();
    for permit in late {
        world.settle(permit, Verdict::Success);
    }
    assert_eq!(world.breaker.state(), State::HalfOpen);
    world.settle(probe, Verdict::Success);
    assert_eq!(world.breaker.state(), State::Closed);
}

#[derive(Clone, Debug)]
enum Step {
    Pass(u64),
    Admit,
    Settle(usize, Verdict),
    Serving,
}

fn step() -> impl Strategy<Value = Step> {
    let verdict = prop_oneof![1 => Just(Verdict::Success), 2 => Just(Verdict::Failure), 1 => Just(Verdict::Unknown)];
    prop_oneof![
        1 => (0u64..12).prop_map(Step::Pass),
        8 => Just(Step::Admit),
        8 => (any::<usize>(), verdict).prop_map(|(which, verdict)| Step::Settle(which, verdict)),
        1 => Just(Step::Serving),
    ]
}

proptest! {
    /// Whatever happens: it never stays shut for longer than 30 s after its last permit was settled, lets out one probe
    /// at most, and opens only by a failure.
    #[test]
    fn it_never_locks_itself_out(steps in prop::collection::vec(step(), 0..400)) {
        let mut world = World::new();
        let mut out: Vec<(Permit, State)> = Vec::new();
        for step in steps {
            let before = world.breaker.state();
            match step {
                Step::Pass(seconds) => world.pass(seconds),
                Step::Admit => {
                    if let Some(permit) = world.admit() {
                        let state = world.breaker.state();
                        prop_assert_ne!(state, State::Open);
                        out.push((permit, state));
                    }
                }
                Step::Settle(which, verdict) if !out.is_empty() => {
                    let (permit, _) = out.swap_remove(which % out.len());
                    world.settle(permit, verdict);
                    if world.breaker.state() == State::Open && before != State::Open {
                        prop_assert_eq!(verdict, Verdict::Failure);
                    }
                }
                Step::Settle(..) => {}
                Step::Serving => world.breaker.peer_is_serving(world.now),
            }
            let epoch = world.breaker.epoch;
            let probes = out.iter().filter(|(permit, state)| *state == State::HalfOpen && permit.epoch == epoch);
            prop_assert!(probes.count() <= 1);
        }
        for (permit, _) in out {
            world.settle(permit, Verdict::Unknown);
        }
        world.pass(30);
        prop_assert!(world.admit().is_some());
    }
}
