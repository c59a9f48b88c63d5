//! The two stacks over real connections on this machine.

#[cfg(test)]
mod admission;
#[cfg(test)]
mod client;
#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod resilience;
#[cfg(test)]
mod server;
#[cfg(test)]
mod support;
