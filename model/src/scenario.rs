//! What happens in a world: what its callers do, which faults may strike, and what was built wrongly on purpose.

/// A fault. Each that strikes counts against the scenario's number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// A replica dies, and with it its calls, its memory and its place as consumer.
    Crash,
    /// A call or its answer is lost; or it is late, and its caller has been answered PENDING.
    LostCall,
    /// A commit seemed in doubt: the same command is submitted again, at any later moment (T4).
    InDoubt,
    /// A relay sends rows and dies before it deletes them.
    SentTwice,
    /// A relay freezes with rows in hand, and sends them when another one leads (R3).
    FrozenRelay,
    /// A consumer freezes with a record in hand, and goes on when another one has its partition (T5).
    FrozenConsumer,
    /// A record vanishes from a topic before it is read.
    LostRecord,
    /// Somebody writes a record that nobody can process (I6).
    Garbage,
    /// A transaction draws its outbox id, and commits after others that drew theirs later (R1).
    SlowCommit,
    /// The sweep comes while everything is still on its way.
    EarlySweep,
}

/// A mechanism that is built wrongly, to see that it is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mutant {
    /// A caller is answered before the commit (I1, I7).
    ReplyBeforeCommit,
    /// Nothing makes a request key unique (I1).
    NoRequestKey,
    /// Stock is planned on what was read before it was locked (I2, T3).
    NoStockLock,
    /// The event is written after the commit of its state (I4).
    EventOutsideTransaction,
    /// The relay deletes a row before it sends it (R2).
    DeleteBeforeSend,
    /// The relay reads rows with an id above the last one that it has sent (R1).
    CursorInsteadOfIds,
    /// The relay sends rows in any order (R2).
    AnyOrder,
    /// A consumer moves its position before it commits the effects (I5).
    PositionBeforeEffects,
    /// A consumer moves its position from whatever it is (T5).
    NoFence,
    /// A replica remembers a decision before it is committed, and takes its event for old news.
    RemembersUncommitted,
    /// A call that fails rejects its order (O2).
    RejectOnError,
    /// Nobody takes unfinished orders further (O4).
    NoSweep,
    /// The sweep calls inventory and does not write what it hears (O4).
    ForgetfulSweep,
}

/// A small world's story.
#[derive(Clone, Copy, Debug)]
pub struct Scenario {
    /// For people.
    pub name: &'static str,
    /// Orders that are placed: 1 or 2. The second may wait for the first in its partition.
    pub requests: u8,
    /// Partitions of each topic: 1, or 2 with an order in each.
    pub partitions: u8,
    /// Callers may repeat a placement, at another replica.
    pub repeats: bool,
    /// Which orders may be cancelled, at any moment.
    pub cancels: &'static [u8],
    /// Which orders may be fulfilled, as soon as they are confirmed.
    pub fulfils: &'static [u8],
    /// The sweep comes when nothing else is left to do. Without it events alone must finish everything.
    pub sweeps: bool,
    /// What may strike.
    pub faults: &'static [Fault],
    /// How often, in one history, all kinds together.
    pub most_faults: u8,
    /// What is built wrongly.
    pub mutant: Option<Mutant>,
}

impl Scenario {
    /// Two orders, one unit, nothing goes wrong.
    pub const CALM: Self = Self {
        name: "calm",
        requests: 2,
        partitions: 1,
        repeats: false,
        cancels: &[],
        fulfils: &[],
        sweeps: false,
        faults: &[],
        most_faults: 0,
        mutant: None,
    };

    /// Whether it was built so.
    #[must_use]
    pub fn is(&self, mutant: Mutant) -> bool {
        self.mutant == Some(mutant)
    }
}
