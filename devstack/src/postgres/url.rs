//! Database URLs.

use anyhow::{Result, bail};

/// `server` with its database replaced by `database`; user, password, host and parameters stay.
///
/// # Errors
/// It is no `postgres://` URL. The text does not repeat it: it may hold a password.
pub(super) fn with_database(server: &str, database: &str) -> Result<String> {
    let (base, parameters) = match server.split_once('?') {
        Some((base, parameters)) => (base, format!("?{parameters}")),
        None => (server, String::new()),
    };
    let Some((scheme @ ("postgres" | "postgresql"), rest)) = base.split_once("://") else {
        bail!("DEVSTACK_POSTGRES_URL must look like postgres://user:password@host:port/database");
    };
    let authority = rest.split('/').next().unwrap_or(rest);
    Ok(format!("{scheme}://{authority}/{database}{parameters}"))
}

/// A name that needs no quotes, in SQL and in URLs.
///
/// # Errors
/// Anything but lower-case letters, digits and `_`, starting with a letter, at most 63 bytes.
pub(super) fn check_name(name: &str) -> Result<()> {
    let plain = name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_'));
    if !plain || name.len() > 63 || !name.starts_with(|first: char| first.is_ascii_lowercase()) {
        bail!("{name:?} is no database name: lower-case letters, digits and _, starting with a letter, at most 63");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn database_is_replaced_and_parameters_stay() {
        let of = |url| with_database(url, "orders").unwrap();
        assert_eq!(of("postgres://me:pw@db:5433/postgres"), "postgres://me:pw@db:5433/orders");
        assert_eq!(of("postgresql://me@db"), "postgresql://me@db/orders");
        assert_eq!(of("postgres://me@/x?host=/run/pg"), "postgres://me@/orders?host=/run/pg");
        assert!(with_database("mysql://me@db/x", "orders").is_err());
    }

    #[test]
    fn name_that_would_need_quotes_is_refused() {
        assert!(check_name("orders_1").is_ok());
        for bad in ["", "1orders", "Orders", "or-ders", "o;drop", &"a".repeat(64)] {
            assert!(check_name(bad).is_err(), "{bad}");
        }
    }
}
