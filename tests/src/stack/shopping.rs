//! Callers who go on while somebody breaks things, and what became of what they were told.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use rand::SeedableRng as _;
use rand::rngs::StdRng;

use crate::audit::{self, Found};
use crate::service::Part;
use crate::shop::Shop;
use crate::state::State;
use crate::traffic::{Fates, Traffic};

const SKUS: usize = 20;
/// More than anybody buys.
const PLENTY: i64 = 1_000_000_000;
/// Callers place orders until they are told to stop.
const NO_END: usize = usize::MAX;

/// Lets `callers` place, cancel and fulfil orders until `end`, and calls `begun` when they do. Then waits until everything has come to rest, and compares what
/// they were told with what there is (I1); then audits all there is (I2 to I6).
///
/// # Errors
/// The platform does not come to rest within `limit`, or a rule is broken.
///
/// # Panics
/// When a caller was told what must not be, or nothing for a minute.
pub async fn until(
    begun: impl FnOnce(),
    end: impl Future<Output = Result<()>>,
    mut shop: Shop,
    callers: usize,
    state: &State,
    limit: Duration,
) -> Result<(Fates, Found)> {
    let mut skus = Vec::new();
    for number in 0..SKUS {
        skus.push(shop.stocked(&format!("thing-{number}"), PLENTY, (2, 500_000_000)).await);
    }
    let traffic = Traffic::start(&mut StdRng::from_rng(&mut rand::rng()), &[shop], &skus, callers, NO_END);
    begun();
    end.await?;
    traffic.no_more();
    let purchases = traffic.done().await;
    ensure!(!purchases.is_empty(), "nobody has bought anything");
    state.rests(limit).await.context("after the last order")?;
    let fates = crate::traffic::assert_told_the_truth(&purchases, state.database(Part::Orders)).await;
    let (found, letters) = audit::check_state(state, limit).await?;
    ensure!(letters.is_empty(), "dead letters, though nobody has sent nonsense: {letters:?}");
    Ok((fates, found))
}
