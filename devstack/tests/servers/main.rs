//! The servers of `devstack`, started for real. Each test says on standard error which server it ran against.

#[cfg(test)]
mod kafka;
#[cfg(test)]
mod postgres;
#[cfg(test)]
mod stack;
#[cfg(test)]
mod support;
#[cfg(test)]
mod traces;
