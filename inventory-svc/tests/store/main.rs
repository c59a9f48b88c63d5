//! The store on a Postgres of the test's own, where a test of the pure ledger can't see enough.

#[cfg(test)]
mod imports;
