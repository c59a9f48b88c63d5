//! Random choices that can be made again.

use rand::SeedableRng as _;
use rand::rngs::StdRng;

/// Set to what a failed test printed, it makes that test choose the same again.
const SEED: &str = "TEST_SEED";

/// Choices from the seed in `TEST_SEED`, or from a new one; printed in either case.
///
/// # Panics
/// When `TEST_SEED` is no number.
#[must_use]
pub fn seeded() -> StdRng {
    let given = std::env::var(SEED).ok();
    let seed = given.map_or_else(rand::random::<u64>, |seed| seed.parse().expect("TEST_SEED is a number"));
    eprintln!("{SEED}={seed} repeats the random choices of this test");
    StdRng::seed_from_u64(seed)
}
