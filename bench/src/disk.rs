//! How long the disk takes to make a write durable: on many machines that flips within minutes, and with it every rate.

use std::fs::File;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use figures::spread::median;

/// A page of Postgres.
const BLOCK: [u8; 8_192] = [0x5a; 8_192];
const WRITES: u64 = 200;

/// The median of 200 writes of 8 KiB, each with an fdatasync, into a file in `folder` that has its length already, as
/// Postgres' log segments have; in milliseconds.
pub(crate) fn fsync_milliseconds(folder: &Path) -> Result<f64> {
    let path = folder.join("fsync-probe");
    measure(&path).with_context(|| format!("can't write {}", path.display()))
}

fn measure(path: &Path) -> std::io::Result<f64> {
    let file = File::create(path)?;
    let offsets = (0..WRITES).map(|number| number * 8_192);
    for offset in offsets.clone() {
        file.write_all_at(&BLOCK, offset)?;
    }
    file.sync_all()?;
    let took = offsets.map(|offset| {
        let begun = Instant::now();
        file.write_all_at(&BLOCK, offset)?;
        file.sync_data()?;
        Ok(begun.elapsed())
    });
    let took: Vec<Duration> = took.collect::<std::io::Result<_>>()?;
    Ok(median(took.iter().map(Duration::as_secs_f64)) * 1_000.0)
}
