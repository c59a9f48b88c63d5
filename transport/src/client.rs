//! The gRPC client stack: what every call to another service passes.

mod connections;
mod deadline;
mod endpoints;
pub mod probe;
mod settings;
mod stack;

pub use endpoints::{Endpoints, EndpointsError};
pub use settings::ClientSettings;
pub use stack::{ClientStack, connect};
