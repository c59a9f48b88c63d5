//! The checks: [`scenarios`] hold, and each of the [`mutants`] is found.

mod mutants;
mod scenarios;
