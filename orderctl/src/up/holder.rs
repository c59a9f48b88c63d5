//! Who listens on a port, as far as Linux lets us see: /proc/net/tcp names the socket, /proc/PID/fd its owner.

use std::fs;
use std::path::Path;

/// `postgres (pid 812)`; `None` where there is no /proc, or the process is somebody else's.
pub(super) fn of(port: u16) -> Option<String> {
    let socket = ["/proc/net/tcp", "/proc/net/tcp6"]
        .iter()
        .filter_map(|table| fs::read_to_string(table).ok())
        .find_map(|table| listening_socket(&table, port))?;
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let holder =
        processes.map(|entry| entry.path()).find(|process| pid(process).is_some() && has_open(process, &socket))?;
    let pid = pid(&holder)?;
    let name = fs::read_to_string(holder.join("comm")).ok()?;
    Some(format!("{} (pid {pid})", name.trim()))
}

/// The folder's number; `self` and the like have none.
fn pid(process: &Path) -> Option<u32> {
    process.file_name()?.to_str()?.parse().ok()
}

/// `socket:[INODE]` of the listener on `port`, from a table of /proc/net.
fn listening_socket(table: &str, port: u16) -> Option<String> {
    const LISTEN: &str = "0A";
    table.lines().skip(1).find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let (_, local_port) = columns.get(1)?.rsplit_once(':')?;
        let listens = columns.get(3).is_some_and(|state| *state == LISTEN);
        let is_port = u16::from_str_radix(local_port, 16).is_ok_and(|local| local == port);
        (listens && is_port).then(|| columns.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
    })
}

fn has_open(process: &Path, socket: &str) -> bool {
    let files = fs::read_dir(process.join("fd")).into_iter().flatten().flatten();
    files.filter_map(|file| fs::read_link(file.path()).ok()).any(|target| target.as_os_str() == socket)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_listeners_count() {
        let table = "header\n   \
                     0: 0100007F:C383 0100007F:1234 01 00000000:00000000 00:00000000 00000000     0        0 11 1\n   \
                     1: 0100007F:C383 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 22 1\n";
        assert_eq!(listening_socket(table, 0xC383).as_deref(), Some("socket:[22]"));
        assert_eq!(listening_socket(table, 1), None);
    }
}
