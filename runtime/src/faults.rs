//! Crashes and mistakes on demand: for tests that show what the platform survives, and that they would notice if it did not.
//!
//! Only with the feature `faults`, which the `tests` crate switches on and no released program does. Without it
//! [`reached`] does nothing and [`makes`] says no, and the compiler removes both.
//!
//! The variable `FAULTS` says what is to happen in a process, as a list with commas:
//!
//! | entry | meaning |
//! |---|---|
//! | `crash:relay-acknowledged@3` | the process kills itself when it reaches that [`Point`] for the third time |
//! | `freeze:consumer-begins` | it stops itself (SIGSTOP) when it reaches the point for the first time; somebody else continues it |
//! | `mistake:no-fence` | it does something wrong, always: see [`Mistake`] |

/// Moments at which a crash hurts most.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Point {
    /// The writer has committed; nobody has been answered.
    WriterCommitted,
    /// The brokers have acknowledged events; their rows are still in the outbox.
    RelayAcknowledged,
    /// A consumer holds records and is about to begin its transaction.
    ConsumerBegins,
    /// A consumer has committed effects and position; Kafka's own offset is behind.
    ConsumerCommitted,
    /// The same, and a dead letter was among it.
    DeadLetterCommitted,
    /// A mistake is half done: see [`Mistake`].
    HalfDone,
}

/// Mistakes that would break the protocol, made on purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mistake {
    /// The consumer commits its position first and the effects afterwards.
    OffsetBeforeEffect,
    /// The relay reads only ids above the highest that it has seen.
    IdAboveCursor,
    /// The relay deletes rows before it publishes their events.
    MarkBeforePublish,
    /// The consumer moves its position wherever it stands.
    NoFence,
    /// The writer answers first and commits afterwards.
    ReplyBeforeCommit,
}

impl Point {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::WriterCommitted,
        Self::RelayAcknowledged,
        Self::ConsumerBegins,
        Self::ConsumerCommitted,
        Self::DeadLetterCommitted,
        Self::HalfDone,
    ];

    /// As it stands in `FAULTS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WriterCommitted => "writer-committed",
            Self::RelayAcknowledged => "relay-acknowledged",
            Self::ConsumerBegins => "consumer-begins",
            Self::ConsumerCommitted => "consumer-committed",
            Self::DeadLetterCommitted => "dead-letter-committed",
            Self::HalfDone => "half-done",
        }
    }
}

impl Mistake {
    /// All of them.
    pub const ALL: [Self; 5] = [
        Self::OffsetBeforeEffect,
        Self::IdAboveCursor,
        Self::MarkBeforePublish,
        Self::NoFence,
        Self::ReplyBeforeCommit,
    ];

    /// As it stands in `FAULTS`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::OffsetBeforeEffect => "offset-before-effect",
            Self::IdAboveCursor => "id-above-cursor",
            Self::MarkBeforePublish => "mark-before-publish",
            Self::NoFence => "no-fence",
            Self::ReplyBeforeCommit => "reply-before-commit",
        }
    }
}

#[cfg(feature = "faults")]
pub use on_demand::{makes, reached};

/// Nothing: the feature `faults` is off.
#[cfg(not(feature = "faults"))]
#[inline]
pub fn reached(_: Point) {}

/// No: the feature `faults` is off.
#[cfg(not(feature = "faults"))]
#[inline]
#[must_use]
pub fn makes(_: Mistake) -> bool {
    false
}

#[cfg(feature = "faults")]
mod on_demand {
    use std::sync::LazyLock;
    use std::sync::atomic::{AtomicI64, Ordering};
    use std::time::Duration;

    use rustix::process::{Signal, getpid, kill_process};

    use super::{Mistake, Point};

    const UNTIL_IT_TAKES_EFFECT: Duration = Duration::from_millis(100);

    static FAULTS: LazyLock<Faults> = LazyLock::new(|| match std::env::var("FAULTS") {
        Ok(list) => Faults::parse(&list),
        Err(_) => Faults::default(),
    });

    #[derive(Default)]
    struct Faults {
        ends: Vec<End>,
        mistakes: Vec<Mistake>,
    }

    /// A signal that the process sends itself.
    struct End {
        point: Point,
        signal: Signal,
        /// How often the point is still to be reached before.
        left: AtomicI64,
    }

    /// Says that this process is at that point now: it may end here.
    pub fn reached(point: Point) {
        for end in FAULTS.ends.iter().filter(|end| end.point == point) {
            if end.left.fetch_sub(1, Ordering::Relaxed) == 1 {
                kill_process(getpid(), end.signal).expect("a process may signal itself");
                // The signal stops all threads, but not at once: this one goes no further before.
                std::thread::sleep(UNTIL_IT_TAKES_EFFECT);
            }
        }
    }

    /// Whether this process is to make that mistake.
    #[must_use]
    pub fn makes(mistake: Mistake) -> bool {
        FAULTS.mistakes.contains(&mistake)
    }

    impl Faults {
        fn parse(list: &str) -> Self {
            let mut faults = Self::default();
            for entry in list.split(',').filter(|entry| !entry.is_empty()) {
                let (kind, what) = entry.split_once(':').unwrap_or_default();
                let (name, times) = what.split_once('@').unwrap_or((what, "1"));
                let point = Point::ALL.into_iter().find(|point| point.name() == name);
                let mistake = Mistake::ALL.into_iter().find(|mistake| mistake.name() == name);
                match (kind, point, mistake, times.parse()) {
                    ("crash", Some(point), _, Ok(times)) => faults.ends.push(End::new(point, Signal::KILL, times)),
                    ("freeze", Some(point), _, Ok(times)) => faults.ends.push(End::new(point, Signal::STOP, times)),
                    ("mistake", _, Some(mistake), _) => faults.mistakes.push(mistake),
                    _ => panic!("FAULTS has no such entry as {entry:?}"),
                }
            }
            faults
        }
    }

    impl End {
        fn new(point: Point, signal: Signal, times: i64) -> Self {
            Self { point, signal, left: AtomicI64::new(times) }
        }
    }
}
