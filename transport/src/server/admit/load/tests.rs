//! The limit in front of servers that are simulated: no clock but the test's.

use proptest::prelude::*;

use super::*;

const WANTED: Duration = Duration::from_millis(50);

fn load(now: Instant) -> Load {
    Load::new(LoadSettings { min: 10, max: 2_000, wanted: WANTED }, now)
}

/// A server whose calls take `idle + each × (calls inside)`, as with group commit: at most `1 / each` a second.
struct Simulated {
    load: Load,
    now: Instant,
    idle: Duration,
    each: Duration,
    inside: Vec<(Instant, Instant)>,
    done: usize,
    refused: usize,
    times: Vec<Duration>,
}

impl Simulated {
    fn new(idle: Duration, each: Duration) -> Self {
        let now = Instant::now();
        Self { load: load(now), now, idle, each, inside: Vec::new(), done: 0, refused: 0, times: Vec::new() }
    }

    /// Offers calls at an even rate.
    fn run(&mut self, time: Duration, calls_per_second: u32) {
        (self.done, self.refused) = (0, 0);
        self.times.clear();
        let pause = Duration::from_secs(1) / calls_per_second;
        let end = self.now + time;
        while self.now < end {
            self.now += pause;
            let now = self.now;
            let ended: Vec<_> = self.inside.extract_if(.., |(_, until)| *until <= now).collect();
            for (began, until) in ended {
                self.load.leave(began, until.max(began), Left::Answered);
                self.done += 1;
                self.times.push(until - began);
            }
            match self.load.enter(Urgency::Begins) {
                Ok(()) => {
                    // Whoever comes is served behind those who are inside.
                    let until = now + self.idle + self.each * u32::try_from(self.inside.len() + 1).unwrap();
                    self.inside.push((now, until));
                }
                Err(Full(_)) => self.refused += 1,
            }
        }
    }

    fn percentile_99(&mut self) -> Duration {
        self.times.sort();
        self.times[self.times.len() * 99 / 100]
    }
}

#[test]
fn five_times_the_load_is_carried_at_the_peak_rate_and_in_the_wanted_time() {
    // 5,000 calls a second at most.
    let mut server = Simulated::new(Duration::from_millis(2), Duration::from_micros(200));
    server.run(Duration::from_secs(3), 25_000);
    server.run(Duration::from_secs(5), 25_000);
    assert!(server.done > 22_500, "{} of 25,000", server.done);
    let slow = server.percentile_99();
    assert!(slow < WANTED * 2, "{slow:?}");
}

#[test]
fn load_that_can_be_carried_is_not_refused() {
    let mut server = Simulated::new(Duration::from_millis(2), Duration::from_micros(200));
    server.run(Duration::from_secs(3), 4_000);
    server.run(Duration::from_secs(3), 4_000);
    assert_eq!(server.refused, 0);
}

#[test]
fn limit_recovers_within_seconds_from_a_stall() {
    let mut server = Simulated::new(Duration::from_millis(2), Duration::from_micros(200));
    server.idle = Duration::from_secs(1);
    server.run(Duration::from_secs(10), 4_000);
    assert_eq!(server.load.limit(), 10);
    server.idle = Duration::from_millis(2);
    server.run(Duration::from_secs(5), 4_000);
    server.run(Duration::from_secs(1), 4_000);
    assert_eq!(server.refused, 0, "limit {}", server.load.limit());
}

#[test]
fn last_tenth_is_for_calls_that_end_work() {
    let mut load = load(Instant::now());
    let begun = (0..1_200).filter(|_| load.enter(Urgency::Begins).is_ok()).count();
    let ended = (0..1_200).filter(|_| load.enter(Urgency::Ends).is_ok()).count();
    assert_eq!((begun, ended), (900, 100));
}

#[test]
fn retry_is_later_the_more_is_refused() {
    let begin = Instant::now();
    let mut load = load(begin);
    let first = (0..5_000).filter_map(|_| load.enter(Urgency::Begins).err()).last().unwrap();
    for _ in 0..20 {
        load.leave(begin, begin + WINDOW, Left::Answered);
    }
    let later = (0..100).filter_map(|_| load.enter(Urgency::Begins).err()).next().unwrap();
    assert!(later.0 > first.0 * 4 && later.0 <= LATEST_RETRY, "{first:?} {later:?}");
}

#[test]
fn one_call_that_hangs_does_not_cut_the_limit() {
    let begin = Instant::now();
    let mut load = load(begin);
    for _ in 0..101 {
        load.enter(Urgency::Begins).unwrap();
    }
    for _ in 0..100 {
        load.leave(begin, begin + Duration::from_millis(40), Left::Answered);
    }
    load.leave(begin, begin + Duration::from_secs(60), Left::Answered);
    assert_eq!(load.limit(), 1_000);
}

#[test]
fn calls_that_their_callers_abandon_early_say_nothing() {
    let begin = Instant::now();
    let mut load = load(begin);
    for _ in 0..200 {
        load.enter(Urgency::Begins).unwrap();
        load.leave(begin, begin + Duration::from_millis(1), Left::Abandoned);
    }
    assert_eq!(load.window.calls, 0);
}

proptest! {
    /// Whatever happens, the limit stays within its bounds, and no more calls are inside than it allowed.
    #[test]
    fn limit_stays_within_its_bounds(steps in proptest::collection::vec((0..3_u8, 0..400_u64), 1..2_000)) {
        let mut now = Instant::now();
        let mut load = load(now);
        let mut inside = Vec::new();
        for (what, milliseconds) in steps {
            now += Duration::from_millis(milliseconds / 20);
            match what {
                0 | 1 => {
                    let before = load.inside;
                    if load.enter(Urgency::Ends).is_ok() {
                        prop_assert!(before < load.limit());
                        inside.push(now);
                    } else {
                        prop_assert!(before >= load.limit());
                    }
                }
                _ => if let Some(began) = inside.pop() {
                    load.leave(began, now + Duration::from_millis(milliseconds), Left::Answered);
                },
            }
            prop_assert_eq!(load.inside, inside.len());
            prop_assert!((10..=2_000).contains(&load.limit()));
        }
    }
}
