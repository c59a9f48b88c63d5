//! What can go wrong.

use std::fmt;
use std::time::Duration;

use rand::RngExt as _;
use rand::rngs::StdRng;
use rand::seq::IndexedRandom as _;
use runtime::faults::Point;

use super::world::World;
use crate::proxy::{Way, Weather};
use crate::service::Part;

/// Kinds of faults, by which they are chosen and counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// kill -9 of an order service.
    KillOrders,
    /// kill -9 of an inventory service.
    KillInventory,
    /// kill -9 of the broker.
    KillKafka,
    /// An immediate shutdown of the database server.
    KillPostgres,
    /// A service stands still for a while, sometimes longer than its consumer's session.
    Freeze,
    /// A service dies at a point in its code.
    Crash,
    /// Connections break, slow down or fall silent.
    Network,
    /// Records that nobody can process, in both topics.
    Poison,
}

/// One replica of a service.
pub type Replica = (Part, usize);

/// A connection with a proxy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Edge {
    /// Which one.
    pub number: usize,
    /// From whom to whom.
    pub name: &'static str,
}

/// A fault.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// SIGKILL.
    Kill(Replica),
    /// SIGKILL of the broker, which stays away for a while.
    KillKafka(Duration),
    /// SIGQUIT of the database server.
    KillPostgres,
    /// SIGSTOP, and later SIGCONT.
    Freeze(Replica, Duration),
    /// The replica kills itself when it reaches the point that many times.
    Crash(Replica, Point, u32),
    /// Every connection of that edge breaks.
    Cut(Edge),
    /// Bytes on that edge are late, or lost, for a while.
    Storm(Edge, Weather, Duration),
    /// The edge refuses connections for a while.
    Closed(Edge, Duration),
    /// So many bad records in each topic.
    Poison(u8),
}

impl Kind {
    /// All of them, with the names that they are chosen by.
    pub const ALL: [(&'static str, Self); 8] = [
        ("kill-order", Self::KillOrders),
        ("kill-inventory", Self::KillInventory),
        ("kill-kafka", Self::KillKafka),
        ("kill-postgres", Self::KillPostgres),
        ("freeze", Self::Freeze),
        ("crash", Self::Crash),
        ("network", Self::Network),
        ("poison", Self::Poison),
    ];

    /// As it is chosen and told.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, kind)| *kind == self).map(|(name, _)| name).unwrap_or_default()
    }
}

impl Fault {
    /// Draws a fault of one of `kinds`.
    ///
    /// # Panics
    /// Without kinds.
    pub fn draw(chance: &mut StdRng, kinds: &[Kind], world: &World) -> Self {
        let kind = *kinds.choose(chance).expect("there is a kind");
        let number = chance.random_range(0..world.replicas());
        let either = *[Part::Orders, Part::Inventory].choose(chance).expect("there are two");
        match kind {
            Kind::KillOrders => Self::Kill((Part::Orders, number)),
            Kind::KillInventory => Self::Kill((Part::Inventory, number)),
            Kind::KillKafka => Self::KillKafka(Duration::from_millis(chance.random_range(0..2_000))),
            Kind::KillPostgres => Self::KillPostgres,
            Kind::Freeze => {
                // Longer than the consumer's session (6 s) every other time.
                let limits = if chance.random_bool(0.5) { 500..3_000 } else { 7_000..10_000 };
                Self::Freeze((either, number), Duration::from_millis(chance.random_range(limits)))
            }
            Kind::Crash => {
                let points = [
                    (Point::WriterCommitted, 200),
                    (Point::RelayAcknowledged, 50),
                    (Point::ConsumerBegins, 20),
                    (Point::ConsumerCommitted, 20),
                ];
                let (point, most) = *points.choose(chance).expect("there are points");
                Self::Crash((either, number), point, chance.random_range(1..most))
            }
            Kind::Network => {
                let edge = world.edge(chance.random_range(0..world.edges()));
                let time = Duration::from_millis(chance.random_range(500..5_000));
                let way = *[Way::Both, Way::ToServer, Way::ToClient].choose(chance).expect("there are ways");
                match chance.random_range(0..4) {
                    0 => Self::Cut(edge),
                    1 => Self::Closed(edge, time),
                    2 => Self::Storm(edge, Weather::BlackHole(way), time),
                    _ => {
                        let delay = Duration::from_millis(chance.random_range(5..100));
                        Self::Storm(edge, Weather::Delayed(way, delay), time)
                    }
                }
            }
            Kind::Poison => Self::Poison(chance.random_range(1..=5)),
        }
    }

    /// Which kind it is of.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Kill((Part::Orders, _)) => Kind::KillOrders,
            Self::Kill((Part::Inventory, _)) => Kind::KillInventory,
            Self::KillKafka(_) => Kind::KillKafka,
            Self::KillPostgres => Kind::KillPostgres,
            Self::Freeze(..) => Kind::Freeze,
            Self::Crash(..) => Kind::Crash,
            Self::Cut(_) | Self::Storm(..) | Self::Closed(..) => Kind::Network,
            Self::Poison(_) => Kind::Poison,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = |time: &Duration| format!("{:.1} s", time.as_secs_f64());
        match self {
            Self::Kill((part, number)) => write!(f, "kill -9 of {} {number}", part.database()),
            Self::KillKafka(away) => write!(f, "kill -9 of kafka, away for {}", seconds(away)),
            Self::KillPostgres => write!(f, "immediate shutdown of postgres"),
            Self::Freeze((part, number), time) => {
                write!(f, "{} {number} frozen for {}", part.database(), seconds(time))
            }
            Self::Crash((part, number), point, times) => {
                write!(f, "{} {number} crashes at {} number {times}", part.database(), point.name())
            }
            Self::Cut(edge) => write!(f, "{} cut", edge.name),
            Self::Storm(edge, weather, time) => write!(f, "{} {weather:?} for {}", edge.name, seconds(time)),
            Self::Closed(edge, time) => write!(f, "{} closed for {}", edge.name, seconds(time)),
            Self::Poison(count) => write!(f, "{count} bad records in each topic"),
        }
    }
}
