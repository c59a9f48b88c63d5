//! The writer and lookups on a real Postgres: what becomes of commands when one of them is poison, when their callers go
//! away, when the database does, and when nobody knows whether it has committed; what is read by many at once.

#[cfg(test)]
mod commit_in_doubt;
#[cfg(test)]
mod entries;
#[cfg(test)]
mod lookups;
#[cfg(test)]
mod outcomes;
#[cfg(test)]
mod proxy;
#[cfg(test)]
mod server;
