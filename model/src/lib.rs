//! A model check of the protocol: the pure functions of both services are driven through every interleaving of a small
//! world, and the rules I1 to I6 are asserted in every state of it.
//!
//! The world has two replicas of each service, two orders that want the last unit of one SKU, two databases, two topics. A
//! [`Scenario`](scenario::Scenario) says what the callers do and which faults may strike, and how many in one history; the
//! [`explorer`] then visits every state that can be reached, breadth first, so that what it finds is told by a shortest
//! history. The end-to-end tests meet some interleavings of the whole platform; this meets all of a small part.
//!
//! What is real and what is modelled:
//!
//! - Real: both ledgers (and so `decide`, `plan`), the events they cause, encoding and decoding of those, the verdicts of
//!   both consumers, what a replica takes for old news, the sweep's work list. See [`services`].
//! - Modelled: storage, network, relay, consumer, sweep and time. See [`world`] and [`rules`]. A transaction is one step,
//!   because the services lock before they read (T1, T3); an outbox row that is drawn before another one and committed
//!   after it is a fault of its own.
//!
//! Whether the model is right nobody checks but its reader, and [`Mutant`](scenario::Mutant): each mechanism is built
//! wrongly once, and has to be found.
//!
//! A step is what somebody else can see: a commit, a record in a topic, an answer. What a process does in between is part
//! of the step before it, since nobody can tell the two apart; a crash there leaves what a crash after that step leaves.
//! Time is not there at all: whatever waits for a moment (a pause, an event that is left to its call, the sweep) may come
//! at any moment, which includes the right one.
//!
//! Not here: batches (the property tests of both domains say that a batch does what its commands do one by one), locks and
//! their order, SQL, a database that dies with commits that were not waited for, topics that are created anew, imports,
//! orders of several lines, watchers, overload. Which replica a call goes to is fixed: an order's own, its repetition to
//! the other one, and inventory's replica of the same number; who reads a topic changes when a reader dies or freezes, so
//! that callers and readers meet in one process and in two.
//!
//! The crate has a program of its own, and is not a part of the end-to-end tests: `cargo test` runs one program after the
//! other, so that it takes no processor from tests that watch the clock; and it is compiled with optimisation, which they
//! need not be. It links in seconds, because it uses little of what the services link.

pub mod explorer;
pub mod invariants;
pub mod rules;
pub mod scenario;
pub mod services;
pub mod steps;
pub mod world;
