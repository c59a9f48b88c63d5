//! Processor time of processes, from Linux' /proc.

use std::fs;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

/// What /proc/PID/stat says of a process; times in clock ticks, of all its threads, ended ones too.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stat {
    parent: u32,
    /// User and system time of its own.
    own: u64,
    /// The same of children that have ended and were waited for, and of theirs.
    reaped: u64,
}

/// Reads `pid (name) state ppid …`: the name may hold anything, so fields count from the last parenthesis.
fn parse(stat: &str) -> Option<Stat> {
    let (_, rest) = stat.rsplit_once(')')?;
    let fields: Vec<&str> = rest.split_whitespace().collect();
    let ticks = |index: usize| fields.get(index)?.parse::<u64>().ok();
    Some(Stat { parent: fields.get(1)?.parse().ok()?, own: ticks(11)? + ticks(12)?, reaped: ticks(13)? + ticks(14)? })
}

fn stat(process: &Path) -> Result<Stat> {
    let path = process.join("stat");
    let text = fs::read_to_string(&path).with_context(|| format!("can't read {}", path.display()))?;
    parse(&text).with_context(|| format!("can't make sense of {}", path.display()))
}

fn time(ticks: u64) -> Duration {
    let per_second = rustix::param::clock_ticks_per_second();
    Duration::from_micros(ticks.saturating_mul(1_000_000) / per_second)
}

/// Time that process `pid` has used.
///
/// # Errors
/// It is gone, or there is no /proc.
pub fn of_process(pid: u32) -> Result<Duration> {
    Ok(time(stat(&Path::new("/proc").join(pid.to_string()))?.own))
}

/// Time that children of this process have used which have ended and were waited for.
///
/// # Errors
/// There is no /proc.
pub fn of_ended_children() -> Result<Duration> {
    Ok(time(stat(Path::new("/proc/self"))?.reaped))
}

/// Time that process `root` and all below it have used, ended ones too: a Postgres server with its backends.
///
/// # Errors
/// It is gone, or there is no /proc.
pub fn of_tree(root: u32) -> Result<Duration> {
    Ok(time(sum(root, &all()?).with_context(|| format!("process {root} is gone"))?))
}

/// Process `root` and all below it.
///
/// # Errors
/// There is no /proc.
pub fn tree(root: u32) -> Result<Vec<u32>> {
    let processes = all()?;
    let mut tree = vec![root];
    let mut next = 0;
    while let Some(parent) = tree.get(next).copied() {
        tree.extend(processes.iter().filter(|(_, stat)| stat.parent == parent).map(|(pid, _)| *pid));
        next += 1;
    }
    Ok(tree)
}

fn all() -> Result<Vec<(u32, Stat)>> {
    let mut processes = Vec::new();
    for entry in fs::read_dir("/proc").context("there is no /proc")?.flatten() {
        let pid = entry.file_name().to_str().and_then(|name| name.parse().ok());
        // One that has just ended is in its parent's count.
        if let Some((pid, stat)) = pid.zip(stat(&entry.path()).ok()) {
            processes.push((pid, stat));
        }
    }
    Ok(processes)
}

fn sum(root: u32, processes: &[(u32, Stat)]) -> Option<u64> {
    let (_, stat) = processes.iter().find(|(pid, _)| *pid == root)?;
    let children = processes.iter().filter(|(_, stat)| stat.parent == root).filter_map(|(pid, _)| sum(*pid, processes));
    Some(stat.own + stat.reaped + children.sum::<u64>())
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINE: &str = "812 (postgres: me (x) idle) S 7 812 812 0 -1 4194560 1 2 3 4 50 6 700 8 20 0 1 0 99 1000 2";

    #[test]
    fn names_with_blanks_and_parentheses_do_not_move_the_fields() {
        assert_eq!(parse(LINE), Some(Stat { parent: 7, own: 56, reaped: 708 }));
        assert_eq!(parse("812 (postgres) S 7"), None);
    }

    #[test]
    fn a_tree_counts_the_living_and_the_dead_but_no_strangers() {
        let stat = |parent, own, reaped| Stat { parent, own, reaped };
        let processes =
            [(1, stat(0, 1_000, 0)), (2, stat(1, 5, 40)), (3, stat(2, 7, 0)), (4, stat(3, 1, 2)), (5, stat(1, 9, 9))];
        assert_eq!(sum(2, &processes), Some(55));
        assert_eq!(sum(6, &processes), None);
    }

    #[test]
    fn this_process_is_found() {
        let so_far = of_process(std::process::id()).unwrap();
        assert!(of_tree(std::process::id()).unwrap() >= so_far);
        assert_eq!(tree(std::process::id()).unwrap()[0], std::process::id());
        let parent = std::os::unix::process::parent_id();
        assert!(tree(parent).unwrap().contains(&std::process::id()));
    }
}
