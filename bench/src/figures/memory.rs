//! Memory of processes, from Linux' /proc.

use std::fs;

use anyhow::{Context as _, Result};

/// Bytes of memory that process `pid` has resident.
///
/// # Errors
/// It is gone, or there is no /proc.
pub fn resident(pid: u32) -> Result<u64> {
    let path = format!("/proc/{pid}/status");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {path}"))?;
    parse(&text).with_context(|| format!("can't make sense of {path}"))
}

fn parse(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1_024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resident_memory_is_read() {
        assert_eq!(parse("Name:\tx\nVmRSS:\t     12 kB\nThreads:\t1\n"), Some(12_288));
        assert_eq!(parse("Name:\tx\n"), None, "as of the kernel's own threads");
        assert!(resident(std::process::id()).unwrap() > 100_000);
    }
}
