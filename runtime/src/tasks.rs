//! Named tasks: nothing runs in the background that has no name, no owner and no end.
//!
//! A [`TaskGroup`] is what stops together, for example all consumers. Its tasks share a stop token;
//! [`TaskGroup::stop`] cancels the token, waits for them and says who did not end in time. A task that ends by an error
//! or a panic while its group is not stopping is a failure of the whole process: the [`Supervisor`] tells `bootstrap`,
//! which drains and exits with 1, because a service that quietly lost its relay looks healthy and is not.

mod group;
mod supervisor;

pub use group::TaskGroup;
pub use supervisor::{Supervisor, TaskFailure};

#[cfg(test)]
mod tests;
