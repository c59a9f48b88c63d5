//! The harness of the end-to-end tests and the benchmarks: both services as processes of their own, on a real Postgres,
//! Kafka and Jaeger.
//!
//! - [`shared`]: where a test gets a platform from: the calm one, which many tests use at the same time, or the one for
//!   faults, which is theirs alone while they break it.
//! - [`platform`] and [`service`]: what is started, and how it is killed, stopped and started again.
//! - [`shop`]: a caller with a customer id and SKUs of its own. [`refusal`]: what an error says.
//! - [`orderctl`]: the command line as people call it.
//! - [`traffic`]: many orders, cancelled and fulfilled at random, also both at once, and what their callers were told.
//!   [`patience`]: how calls are repeated that fail. [`chance`]: where randomness comes from.
//! - [`chaos`]: faults under load, one after the other, by callers who keep a journal, and what became of the promises
//!   made meanwhile. [`proxy`]: what can go wrong between two processes. [`gate`]: locks that make services wait.
//! - [`kafka`], [`traces`], [`metrics`]: what can be seen from outside.
//! - [`state`]: where all is kept. [`audit`]: the rules that hold after every test (I1 to I6).
//! - [`stack`]: a platform in containers, looked at from its network.
//! - [`lifeline`]: how a service learns that its tests are gone.
//! - [`waiting`]: nothing sleeps; what takes time is looked at again and again, up to a limit.
//!
//! Nothing outlives the tests: servers, services and data end with this process, however it ends.

pub mod audit;
pub mod chance;
#[cfg(feature = "faults")]
pub mod chaos;
mod folder;
pub mod gate;
mod http;
pub mod kafka;
pub mod lifeline;
pub mod metrics;
pub mod orderctl;
pub mod patience;
pub mod platform;
mod ports;
pub mod proxy;
pub mod refusal;
pub mod service;
pub mod shared;
pub mod shop;
pub mod stack;
pub mod state;
pub mod traces;
pub mod traffic;
pub mod waiting;
