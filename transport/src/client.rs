//! The gRPC client stack: what every call to another service passes.

mod breaker;
mod deadline;
mod endpoints;
pub mod probe;
mod retry;
mod settings;
mod stack;
mod target;
mod window;

pub use endpoints::{Endpoints, EndpointsError};
pub use settings::ClientSettings;
pub use stack::{ClientStack, connect};
