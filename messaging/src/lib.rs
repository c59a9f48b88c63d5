//! Events between services: published once their cause is committed, applied together with the position they were read at.
//!
//! ```text
//!   writer's transaction               relay (one leads per database)         consumer (one thread per service)
//!   ┌──────────────────────┐          ┌──────────────────────────────┐        ┌─────────────────────────────────┐
//!   │ state change         │          │ read outbox in id order      │        │ poll, group by partition        │
//!   │ outbox row ──────────┼──► DB ──►│ produce, await every ack     │► Kafka►│ one transaction per partition:  │
//!   └──────────────────────┘          │ delete what was acknowledged │        │   move position (fenced)        │
//!                                     └──────────────────────────────┘        │   effects, outbox, dead letters │
//!                                                                             └─────────────────────────────────┘
//! ```
//!
//! What dies where, and what happens then:
//!
//! | dies … | then |
//! |---|---|
//! | before the writer's commit | there is neither the state nor the event (I4) |
//! | after the commit, before the record is produced | the next leader reads the row and produces it |
//! | after the record is produced, before the row is deleted | it is produced again; consumers drop what they know (I4, I5) |
//! | the leader freezes | its session ends, another leads; what it still sends are duplicates (R3) |
//! | a consumer, before its commit | neither effects nor position: the record is read again (I5) |
//! | a consumer, after its commit | the position is past the record; Kafka's own offset is behind, and not used (I5) |
//! | a consumer loses a partition and does not know | its position no longer fits: its transaction is rolled back (T5) |
//!
//! A record that no consumer could ever process becomes a [dead letter](dead_letter), written to the outbox by the
//! transaction that moves the position past it (I6, C3).
//!
//! Not here: what events mean. A service gives a [`consumer::Handler`] and calls [`outbox::append`].

mod aside;
pub mod consumer;
pub mod dead_letter;
mod headers;
pub mod inspection;
pub mod kafka_probe;
pub mod outbox;
mod pace;
pub mod recent;
pub mod record;
pub mod relay;
mod settings;
mod topics;

pub use settings::KafkaSettings;
