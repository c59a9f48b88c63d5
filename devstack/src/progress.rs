//! What a person who waits for the servers is told.

/// One step of one server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// `postgres`, `kafka` or `traces`.
    pub part: &'static str,
    /// One line for people.
    pub message: String,
}
