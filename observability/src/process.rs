//! What the kernel knows about this process. Linux only; elsewhere the metrics stay away.

use std::fs;

use crate::names;

/// Clock ticks in a second as /proc reports them, whatever the kernel's own rate: USER_HZ is 100 on every architecture
/// that Rust's Linux targets run on.
const TICKS_PER_SECOND: f64 = 100.0;

/// Brings the process metrics up to date; called for each scrape.
pub(crate) fn observe() {
    if let Some(bytes) = resident_bytes() {
        metrics::gauge!(names::PROCESS_RESIDENT_MEMORY).set(bytes);
    }
    if let Some(seconds) = cpu_seconds() {
        metrics::gauge!(names::PROCESS_CPU_SECONDS).set(seconds);
    }
    if let Ok(descriptors) = fs::read_dir("/proc/self/fd") {
        let count = u32::try_from(descriptors.count()).unwrap_or(u32::MAX);
        metrics::gauge!(names::PROCESS_OPEN_FDS).set(f64::from(count));
    }
}

fn resident_bytes() -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: f64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1_024.0)
}

/// User and system time: fields 14 and 15 of proc_pid_stat(5), counted behind the command's closing parenthesis.
fn cpu_seconds() -> Option<f64> {
    let stat = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, after_command) = stat.rsplit_once(')')?;
    let mut times = after_command.split_whitespace().skip(11);
    let user: f64 = times.next()?.parse().ok()?;
    let system: f64 = times.next()?.parse().ok()?;
    Some((user + system) / TICKS_PER_SECOND)
}
