//! Hides what must not reach a terminal, a log or a bug report.

const HIDDEN: &str = "***";
/// Longer values add nothing to a problem's text.
const LONGEST_QUOTE: usize = 80;

/// A secret as it may be shown: of a URL everything but the password, of anything else nothing.
pub(super) fn secret(text: &str) -> String {
    match text.split_once("://") {
        Some((scheme, rest)) => format!("{scheme}://{}", without_query_passwords(&without_user_password(rest))),
        None => HIDDEN.to_owned(),
    }
}

/// A value that is no secret by itself, as a table may show it: any URL can have a password.
pub(super) fn plain(text: &str) -> String {
    if text.contains("://") { secret(text) } else { text.to_owned() }
}

/// A refused value as a problem's text may quote it. It can be anything, a URL with a password pasted into the wrong
/// variable too.
pub(super) fn quoted(text: &str) -> String {
    let shown = plain(text);
    if shown.chars().count() <= LONGEST_QUOTE {
        return shown;
    }
    shown.chars().take(LONGEST_QUOTE).chain(['…']).collect()
}

/// Everything up to the *last* `@` counts as user and password: a password may hold `/`, `?` or `@` unescaped, and
/// hiding too much is the right mistake to make.
fn without_user_password(rest: &str) -> String {
    let Some((user_information, host)) = rest.rsplit_once('@') else {
        return rest.to_owned();
    };
    match user_information.split_once(':') {
        Some((user, _)) => format!("{user}:{HIDDEN}@{host}"),
        None => rest.to_owned(),
    }
}

/// `?password=…` is another place that Postgres takes a password from.
fn without_query_passwords(rest: &str) -> String {
    let Some((path, query)) = rest.split_once('?') else {
        return rest.to_owned();
    };
    let parameters: Vec<String> = query
        .split('&')
        .map(|parameter| match parameter.split_once('=') {
            Some((key, _)) if key.to_ascii_lowercase().contains("password") => format!("{key}={HIDDEN}"),
            Some(_) | None => parameter.to_owned(),
        })
        .collect();
    format!("{path}?{}", parameters.join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn password_of_a_url_is_hidden_wherever_it_stands() {
        for (url, shown) in [
            ("postgres://shop:s3cret@db:5432/orders", "postgres://shop:***@db:5432/orders"),
            ("postgres://shop:a/b@c?d@db/orders", "postgres://shop:***@db/orders"),
            (
                "postgres:///orders?host=/run/pg&user=shop&password=s3cret",
                "postgres:///orders?host=/run/pg&user=shop&password=***",
            ),
            ("postgres://shop@db/orders", "postgres://shop@db/orders"),
            ("postgres://db/orders?sslmode=require", "postgres://db/orders?sslmode=require"),
        ] {
            assert_eq!(secret(url), shown);
        }
    }

    #[test]
    fn secret_that_is_no_url_is_hidden_as_a_whole() {
        assert_eq!(secret("hunter2"), "***");
    }

    #[test]
    fn long_values_are_quoted_in_part() {
        assert_eq!(quoted(&"x".repeat(100)), format!("{}…", "x".repeat(80)));
    }
}
