//! What an error of the database means for the command that met it.
//!
//! Classes are those of [Appendix A](https://www.postgresql.org/docs/current/errcodes-appendix.html) of Postgres' manual.

/// What to do about an error, when it is certain that nothing was committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another try of the same transaction may succeed at once: a deadlock, a lock not granted in time.
    Again,
    /// The database is away, going down or out of something; it may come back.
    Away,
    /// The data of one command is at fault (SQLSTATE class 22 or 23): alone it would fail as well, the others would not.
    Command,
    /// A bug or a wrong schema: no try will help.
    Bug,
}

/// Sorts an error that happened before COMMIT was sent.
#[must_use]
pub fn verdict(error: &sqlx::Error) -> Verdict {
    match error {
        sqlx::Error::Database(database) => match database.code().as_deref() {
            Some(code) => verdict_of_code(code),
            None => Verdict::Bug,
        },
        sqlx::Error::Io(_)
        | sqlx::Error::Tls(_)
        | sqlx::Error::Protocol(_)
        | sqlx::Error::PoolTimedOut
        | sqlx::Error::PoolClosed
        | sqlx::Error::WorkerCrashed => Verdict::Away,
        // A value that cannot be sent (a NUL in a text, say) is its command's own fault.
        sqlx::Error::Encode(_) => Verdict::Command,
        // Decode, ColumnNotFound and so on: code and schema do not fit. The enum is open, and so may its future be.
        _ => Verdict::Bug,
    }
}

fn verdict_of_code(code: &str) -> Verdict {
    match code {
        // statement_timeout and idle timeouts arrive as 57014 and 25P03.
        "57014" => Verdict::Again,
        // A server that is only read from now on (25006) is, after a failover, no longer the one to write to.
        "25P03" | "25006" => Verdict::Away,
        _ => match code.get(..2) {
            Some("40" | "55") => Verdict::Again,
            // 28 and 3D: who connects there is not let in, or the database is not there (yet, or any more).
            Some("08" | "28" | "3D" | "53" | "57" | "58") => Verdict::Away,
            Some("22" | "23") => Verdict::Command,
            _ => Verdict::Bug,
        },
    }
}

/// The name of the constraint that an error names, if it does.
#[must_use]
pub fn constraint(error: &sqlx::Error) -> Option<&str> {
    match error {
        sqlx::Error::Database(database) => database.constraint(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn classes_are_sorted_as_the_rule_t6_says() {
        for (code, expected) in [
            ("40P01", Verdict::Again),
            ("55P03", Verdict::Again),
            ("57014", Verdict::Again),
            ("57P01", Verdict::Away),
            ("53300", Verdict::Away),
            ("08006", Verdict::Away),
            ("25006", Verdict::Away),
            ("3D000", Verdict::Away),
            ("58030", Verdict::Away),
            ("22021", Verdict::Command),
            ("23514", Verdict::Command),
            ("42P01", Verdict::Bug),
        ] {
            assert_eq!(verdict_of_code(code), expected, "{code}");
        }
    }

    #[test]
    fn a_connection_that_breaks_is_a_database_that_is_away() {
        let broken = sqlx::Error::Io(std::io::Error::from(std::io::ErrorKind::ConnectionReset));
        assert_eq!(verdict(&broken), Verdict::Away);
    }
}
