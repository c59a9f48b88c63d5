//! gRPC on both sides of a call: the stack that every call to a service passes, and the one that every call to another
//! service passes.
//!
//! - [`server`] listens, serves the business services beside reflection and `grpc.health.v1`, and builds the server's
//!   stack.
//! - [`client`] keeps connections to the addresses behind a target and builds the client's stack.
//! - [`deadline`] is how long a call may take, from the header to the handler and on to the next hop.
//! - [`error`] is the one place that builds statuses with `google.rpc` details.
//!
//! Every layer speaks the same language: a request goes in and a response comes out, failures being gRPC statuses like
//! any other answer. What a call came to is known when its trailers have passed, or when somebody lets go of it: there
//! metrics and spans end, so that a cancelled call counts too.

pub mod client;
pub mod deadline;
pub mod draining;
pub mod error;
pub mod server;

mod call;
mod method;
mod metrics;
mod outcome;
pub mod paging;
mod trace;
