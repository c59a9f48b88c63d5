//! What the benchmarks read and compute, without the platform that they measure: everything here is tested without a
//! server.
//!
//! - [`load`] and [`pgbench`]: what the two load generators print.
//! - [`cpu`] and [`memory`]: processor time and memory, from /proc.
//! - [`quantile`]: how long most of many things took.
//! - [`spread`] and [`goal`]: from the ratios of several rounds to "reached" or "missed".
//! - [`table`]: lines up what is printed.

pub mod cpu;
pub mod goal;
pub mod load;
pub mod memory;
pub mod pgbench;
pub mod quantile;
pub mod spread;
pub mod table;
