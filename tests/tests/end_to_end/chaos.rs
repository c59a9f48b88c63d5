//! A short round of what `cargo run -p tests --bin chaos` does for as long as one likes.

use std::path::Path;

use rand::RngExt as _;
use tests::chance;
use tests::chaos::fault::Kind;
use tests::chaos::{self, Options};
use tests::waiting::seconds;

use crate::support::PROGRAM;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn promises_are_kept_whatever_dies() {
    let options = Options {
        seed: chance::seeded().random(),
        // So many faults, however long a busy machine takes for them.
        duration: seconds(150),
        most_faults: 6,
        kinds: Kind::ALL.map(|(_, kind)| kind).to_vec(),
        kafka_away: None,
        callers: 8,
        replicas: 2,
        after: seconds(1),
        before: seconds(1),
    };
    let report = chaos::run(Path::new(PROGRAM), &options, |line| eprintln!("{line}")).await.unwrap();
    eprintln!("{report}");
    assert!(report.findings.is_empty(), "{:#?}", report.findings);
    assert!(report.suffered.len() >= 3 && report.journal.placed > 50, "there has to be something to find");
}
