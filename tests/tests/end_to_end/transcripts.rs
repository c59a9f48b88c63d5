//! `transcripts/`: what people type with grpcurl, and what they see.

use std::collections::BTreeMap;
use std::path::Path;

use tests::platform::Platform;
use tokio::process::Command;
use uuid::Uuid;

use crate::support::calm;

/// A command and the lines that it is to print.
#[derive(Debug, Default)]
struct Exchange {
    command: String,
    printed: Vec<String>,
}

fn exchanges(transcript: &str) -> Vec<Exchange> {
    let mut exchanges: Vec<Exchange> = Vec::new();
    for line in transcript.lines().filter(|line| !line.starts_with('#')) {
        match (line.strip_prefix("$ "), exchanges.last_mut()) {
            (Some(command), _) => exchanges.push(Exchange { command: command.to_owned(), printed: Vec::new() }),
            (None, Some(exchange)) => exchange.printed.push(line.to_owned()),
            (None, None) => {}
        }
    }
    for exchange in &mut exchanges {
        exchange
            .printed
            .truncate(exchange.printed.iter().rposition(|line| !line.is_empty()).map_or(0, |last| last + 1));
    }
    exchanges
}

/// What `{NAME}` stands for.
type Names = BTreeMap<String, String>;

/// Puts in what is known.
fn fill(text: &str, names: &Names) -> String {
    names.iter().fold(text.to_owned(), |text, (name, value)| text.replace(&format!("{{{name}}}"), value))
}

/// Whether a line is as expected; learns the first name that it does not know.
fn fits(expected: &str, line: &str, names: &mut Names) -> bool {
    let expected = fill(expected, names);
    if let Some(beginning) = expected.strip_suffix('…') {
        return line.starts_with(beginning);
    }
    let unknown = expected.split_once('{').and_then(|(before, rest)| {
        let (name, after) = rest.split_once('}')?;
        let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_uppercase());
        is_name.then_some((before, name, after))
    });
    let Some((before, name, after)) = unknown else { return line == expected };
    let value = line.strip_prefix(before).and_then(|rest| rest.strip_suffix(after));
    value.is_some_and(|value| {
        names.insert(name.to_owned(), value.to_owned());
        !value.is_empty() && !value.contains(' ')
    })
}

/// All of it, in order; `…` alone leaves out any number of lines.
fn check(exchange: &Exchange, printed: &str, names: &mut Names) {
    let mut lines = printed.lines().filter(|line| !line.trim().is_empty());
    let mut leaves_out = false;
    for expected in exchange.printed.iter().filter(|line| !line.is_empty()) {
        if expected == "…" {
            leaves_out = true;
            continue;
        }
        let found = match leaves_out {
            true => lines.any(|line| fits(expected, line, names)),
            false => lines.next().is_some_and(|line| fits(expected, line, names)),
        };
        assert!(found, "{}\n{printed}\nhas no {expected:?} where it belongs", exchange.command);
        leaves_out = false;
    }
    let rest: Vec<_> = lines.collect();
    assert!(leaves_out || rest.is_empty(), "{}\n{printed}\ngoes on with {rest:?}", exchange.command);
}

async fn run(platform: &Platform, transcript: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("transcripts").join(transcript);
    let exchanges = exchanges(&std::fs::read_to_string(path).unwrap());
    assert!(!exchanges.is_empty());
    let address = |url: String| url.trim_start_matches("http://").to_owned();
    let mut names = Names::from([
        ("ORDERS".to_owned(), address(platform.orders.address())),
        ("INVENTORY".to_owned(), address(platform.inventory.address())),
        ("MARK".to_owned(), Uuid::new_v4().to_string()),
    ]);
    for exchange in &exchanges {
        let output = Command::new("sh").arg("-c").arg(fill(&exchange.command, &names)).output().await.unwrap();
        let printed = [output.stdout, output.stderr].concat();
        check(exchange, &String::from_utf8_lossy(&printed), &mut names);
    }
}

/// Said so loudly, because nothing was shown then; where it has to be there, that is a failure.
async fn has_grpcurl() -> bool {
    let is_there = Command::new("grpcurl").arg("-version").output().await.is_ok();
    if !is_there {
        println!("SKIPPED: grpcurl is not on the PATH");
        assert!(std::env::var_os("DEVSTACK_REQUIRE_REAL").is_none(), "grpcurl is required");
    }
    is_there
}

#[tokio::test]
async fn first_order_is_as_the_transcript_has_it() {
    if has_grpcurl().await {
        run(&*calm().await, "first-order.txt").await;
    }
}

#[tokio::test]
async fn refusals_are_as_the_transcript_has_them() {
    if has_grpcurl().await {
        run(&*calm().await, "refusals.txt").await;
    }
}
