//! What a service says about itself: traces, metrics and logs, and the headers that carry a trace to the next process.
//!
//! - [`telemetry`] starts and stops all of it; a process does that once.
//! - [`spans`] has one function for each kind of span on the platform, so that the names of the semantic conventions
//!   are in one place.
//! - [`propagation`] reads and writes W3C trace context and baggage in gRPC metadata, the outbox and Kafka headers.
//! - [`names`] is the contract's table of metrics; [`metrics_page`] renders them.
//! - [`logging`] writes log lines that name the trace they belong to.
//!
//! The span of a request travels as the [`opentelemetry::Context`] that is current while its future is polled
//! ([`opentelemetry::context::FutureExt::with_context`]). Telemetry never slows or fails a request (I9): spans go
//! through a bounded queue, what does not fit is dropped and counted, and a collector that is away costs nothing.

pub mod logging;
pub mod metrics_page;
pub mod names;
pub mod propagation;
pub mod spans;
pub mod telemetry;

mod process;
