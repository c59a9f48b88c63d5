use std::io::Write as _;

use tempfile::NamedTempFile;

use super::*;

#[test]
fn every_problem_is_reported_at_once_and_names_its_setting() {
    let file = toml("shutdown_grace = \"soon\"\n");
    let mut reader = reader_of(Some(&file), &[("GRPC_LISTEN", "foo"), ("BATCH", "-1"), ("DISABLED", "maybe")]);
    reader.required_secret("DATABASE_URL", "postgres://user:password@host:port/database");
    reader.address("GRPC_LISTEN", "0.0.0.0:50051", "where gRPC listens");
    reader.duration("SHUTDOWN_GRACE", "20s", "how long a drain may take");
    reader.value::<u32>("BATCH", "64", "commands in one transaction");
    reader.flag("DISABLED", "false", "no tracing");
    reader.reject("DRAIN_DELAY", "longer than SHUTDOWN_GRACE".to_owned());

    let errors = reader.finish().unwrap_err().to_string();
    assert_eq!(
        errors.lines().collect::<Vec<_>>(),
        [
            "DATABASE_URL: missing; set it to postgres://user:password@host:port/database",
            "GRPC_LISTEN: 'foo' is not an address: write HOST:PORT with a numeric host, as in 0.0.0.0:50051",
            "SHUTDOWN_GRACE: 'soon' is not a span of time: write a whole number and its unit (ms, s, m or h), \
             as in 250ms, 20s or 2m",
            "BATCH: '-1' can't be used: invalid digit found in string",
            "DISABLED: 'maybe' is neither true nor false",
            "DRAIN_DELAY: longer than SHUTDOWN_GRACE",
        ]
    );
}

#[test]
fn environment_wins_over_the_file_and_the_file_over_the_default() {
    let file = toml("first = 1\nsecond = 2\n");
    let mut reader = reader_of(Some(&file), &[("FIRST", "10")]);
    let values: Vec<u32> =
        ["FIRST", "SECOND", "THIRD"].into_iter().map(|name| reader.value(name, "3", "a number")).collect();
    assert_eq!(values, [10, 2, 3]);

    let sources: Vec<Source> = reader.finish().unwrap().into_iter().map(|row| row.source).collect();
    assert_eq!(sources, [Source::Environment, Source::File, Source::Default]);
}

#[test]
fn empty_value_counts_as_unset() {
    let file = toml("first = 1\nsecond = \"\"\n");
    let mut reader = reader_of(Some(&file), &[("FIRST", ""), ("THIRD", "")]);
    assert_eq!(reader.value::<u32>("FIRST", "5", "falls back to the file"), 1);
    assert_eq!(reader.value::<u32>("SECOND", "5", "falls back to the default"), 5);
    assert_eq!(reader.required_text("THIRD", "anything"), "");
    assert_eq!(reader.finish().unwrap_err().to_string(), "THIRD: missing; set it to anything");
}

#[test]
fn unknown_key_of_the_file_is_refused_with_the_near_miss() {
    let file = toml("shutdown_grase = \"1s\"\nSHUTDOWN_GRACE = \"1s\"\ncolour = \"blue\"\n");
    let mut reader = reader_of(Some(&file), &[]);
    assert_eq!(reader.duration("SHUTDOWN_GRACE", "20s", "how long a drain may take"), Duration::from_secs(20));
    assert_eq!(
        reader.finish().unwrap_err().to_string(),
        "SHUTDOWN_GRACE: unknown key in the file; did you mean shutdown_grace?\n\
         colour: unknown key in the file\n\
         shutdown_grase: unknown key in the file; did you mean shutdown_grace?"
    );
}

#[test]
fn file_takes_texts_numbers_flags_and_lists() {
    let file = toml("text = \"a\"\nnumber = 7\nflag = true\nlist = [\"a:1\", \"b:2\"]\n");
    let mut reader = reader_of(Some(&file), &[]);
    assert_eq!(reader.required_text("TEXT", ""), "a");
    assert_eq!(reader.value::<u8>("NUMBER", "1", ""), 7);
    assert!(reader.flag("FLAG", "false", ""));
    assert_eq!(reader.required_text("LIST", ""), "a:1,b:2");
    reader.finish().unwrap();
}

#[test]
fn table_in_the_file_is_refused() {
    let file = toml("[database]\nurl = \"postgres://shop:s3cret@db/orders\"\n");
    let errors = reader_of(Some(&file), &[]).finish().unwrap_err().to_string();
    assert!(errors.starts_with("database: a table in "), "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
}

#[test]
fn file_that_is_not_toml_is_one_problem_without_its_text() {
    let file = toml("first = 1\ndatabase_url = \"postgres://shop:s3cret@db\n");
    let mut reader = reader_of(Some(&file), &[]);
    reader.required_text("OTHER", "anything");
    let errors = reader.finish().unwrap_err().to_string();
    let path = file.path().display().to_string();
    assert!(errors.starts_with(&format!("{path}: line 2: not TOML: ")), "{errors}");
    assert!(errors.ends_with("\nOTHER: missing; set it to anything"), "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
}

#[test]
fn file_that_is_missing_is_a_problem() {
    let reader = SettingsReader::new(Some(Path::new("/no/such/settings.toml")), []);
    let errors = reader.finish().unwrap_err().to_string();
    assert!(errors.starts_with("/no/such/settings.toml: cannot be read: "), "{errors}");
}

#[test]
fn secrets_are_shown_neither_in_rows_nor_in_problems() {
    let url = "postgres://shop:s3cret@db:5432/orders";
    let mut reader = reader_of(None, &[("DATABASE_URL", url), ("GRPC_LISTEN", url), ("LIMIT", url), ("SAMPLER", url)]);
    assert_eq!(reader.required_secret("DATABASE_URL", ""), url);
    assert_eq!(effective(&reader.rows), "DATABASE_URL=postgres://shop:***@db:5432/orders  # environment\n");

    reader.address("GRPC_LISTEN", "0.0.0.0:1", "");
    reader.value::<u32>("LIMIT", "1", "");
    reader.value::<QuotingType>("SAMPLER", "on", "");
    let errors = reader.finish().unwrap_err().to_string();
    assert_eq!(errors.lines().count(), 3, "{errors}");
    assert!(!errors.contains("s3cret"), "{errors}");
}

#[test]
fn error_that_quotes_the_value_is_not_quoted_twice() {
    let mut reader = reader_of(None, &[("SAMPLER", "off")]);
    reader.value::<QuotingType>("SAMPLER", "on", "");
    assert_eq!(reader.finish().unwrap_err().to_string(), "SAMPLER: \"off\" is no sampler");
}

#[test]
fn optional_value_may_be_left_out_and_is_checked_when_given() {
    let mut reader = reader_of(None, &[("GIVEN", "7"), ("BAD", "seven")]);
    assert_eq!(reader.optional::<u8>("GIVEN", ""), Some(7));
    assert_eq!(reader.optional::<u8>("LEFT_OUT", ""), None);
    assert_eq!(reader.optional::<u8>("BAD", ""), None);
    assert_eq!(reader.finish().unwrap_err().to_string(), "BAD: 'seven' can't be used: invalid digit found in string");
}

#[test]
fn setting_that_two_concerns_read_stands_in_the_table_once() {
    let mut reader = SettingsReader::without_values();
    reader.value::<u32>("LIMIT", "1", "first");
    reader.value::<u32>("LIMIT", "1", "second");
    assert_eq!(help_table(&reader.table()), "  LIMIT  1  first\n");
}

#[test]
fn tables_have_every_setting() {
    let mut reader = SettingsReader::without_values();
    reader.required_text("TARGET", "a|b");
    reader.duration("GRACE", "20s", "how long");
    reader.optional::<u32>("LIMIT", "at most");
    let rows = reader.table();
    assert_eq!(
        help_table(&rows),
        "  TARGET  required  a|b\n  GRACE   20s       how long\n  LIMIT   unset     at most\n"
    );
    assert_eq!(
        markdown_table(&rows),
        "| variable | default | meaning |\n|---|---|---|\n\
         | `TARGET` | required | a\\|b |\n| `GRACE` | `20s` | how long |\n| `LIMIT` |  | at most |\n"
    );
}

#[test]
#[should_panic(expected = "the program's own default for LIMIT")]
fn default_that_does_not_parse_is_a_mistake_in_the_program() {
    SettingsReader::without_values().value::<u32>("LIMIT", "many", "");
}

#[test]
fn spans_of_time_have_a_number_and_a_unit() {
    for (text, milliseconds) in [("250ms", 250), ("20s", 20_000), ("2m", 120_000), ("1h", 3_600_000), ("0s", 0)] {
        assert_eq!(parse_duration(text), Ok(Duration::from_millis(milliseconds)), "{text}");
    }
    for text in ["", "20", "s", "1.5s", "-1s", "20 s", "1d", "20S", "99999999999999999999s", "18446744073709551615h"] {
        assert_eq!(parse_duration(text), Err(DurationError), "{text}");
    }
}

/// A type like those of other crates: its error quotes what it was given.
#[derive(Debug)]
struct QuotingType;

impl FromStr for QuotingType {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "on" { Ok(Self) } else { Err(format!("{text:?} is no sampler")) }
    }
}

fn toml(text: &str) -> NamedTempFile {
    let mut file = NamedTempFile::new().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file
}

fn reader_of(file: Option<&NamedTempFile>, environment: &[(&str, &str)]) -> SettingsReader {
    let environment = environment.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
    SettingsReader::new(file.map(NamedTempFile::path), environment)
}
