//! Where Postgres' server programs are.

use std::cmp::Reverse;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::programs::{find, is_executable};

/// A folder with `postgres` and `initdb`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Binaries {
    pub(super) folder: PathBuf,
    /// As the program says it: `15.18`.
    pub(super) version: String,
}

impl Binaries {
    /// The programs in `folder`, if both are there and run.
    pub(super) fn in_folder(folder: &Path) -> Option<Self> {
        // Links lead out of the folder that the server looks for its own files in.
        let server = folder.join("postgres").canonicalize().ok()?;
        let folder = server.parent()?.to_owned();
        if !is_executable(&server) || !is_executable(&folder.join("initdb")) {
            return None;
        }
        let output = Command::new(&server).arg("--version").stdin(Stdio::null()).output().ok()?;
        let version = parse_version(&String::from_utf8_lossy(&output.stdout))?;
        Some(Self { folder, version })
    }

    pub(super) fn program(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// What a cluster's PG_VERSION file has: `15`.
    pub(super) fn major(&self) -> &str {
        self.version.split(['.', 'b', 'r', 'd']).next().unwrap_or(&self.version)
    }
}

/// Every set of server programs on this machine, preferred ones first: what `PATH` says, then the usual folders of
/// Debian, Red Hat, Homebrew and Postgres.app, newest first.
pub(super) fn on_this_machine(path: Option<&OsStr>) -> Vec<Binaries> {
    let from_path = path.into_iter().flat_map(std::env::split_paths);
    let mut usual: Vec<PathBuf> = [
        ("/usr/lib/postgresql", "", "bin"),
        ("/usr", "pgsql-", "bin"),
        ("/opt/homebrew/opt", "postgresql@", "bin"),
        ("/usr/local/opt", "postgresql@", "bin"),
        ("/Applications/Postgres.app/Contents/Versions", "", "bin"),
    ]
    .into_iter()
    .flat_map(|(parent, prefix, rest)| versions_below(parent, prefix, rest))
    .collect();
    usual.dedup();
    let mut found: Vec<Binaries> = Vec::new();
    for folder in pg_config_folder(path).into_iter().chain(from_path).chain(usual) {
        if let Some(binaries) = Binaries::in_folder(&folder)
            && !found.contains(&binaries)
        {
            found.push(binaries);
        }
    }
    found
}

fn pg_config_folder(path: Option<&OsStr>) -> Option<PathBuf> {
    let output = Command::new(find("pg_config", path)?).arg("--bindir").stdin(Stdio::null()).output().ok()?;
    Some(PathBuf::from(String::from_utf8_lossy(&output.stdout).trim()))
}

/// `parent/PREFIX<number>/rest` for every number that is there, highest first.
fn versions_below(parent: &str, prefix: &str, rest: &str) -> Vec<PathBuf> {
    let names = fs::read_dir(parent).into_iter().flatten().flatten().map(|entry| entry.file_name());
    let mut versions: Vec<(u32, PathBuf)> = names
        .filter_map(|name| {
            let number = name.to_str()?.strip_prefix(prefix)?.parse().ok()?;
            Some((number, Path::new(parent).join(&name).join(rest)))
        })
        .collect();
    versions.sort_by_key(|(number, _)| Reverse(*number));
    versions.into_iter().map(|(_, folder)| folder).collect()
}

/// `postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)` → `15.18`.
fn parse_version(printed: &str) -> Option<String> {
    let version = printed.split("(PostgreSQL)").nth(1)?.split_whitespace().next()?;
    version.starts_with(|first: char| first.is_ascii_digit()).then(|| version.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn version_is_read_from_what_the_server_prints() {
        let version = parse_version("postgres (PostgreSQL) 15.18 (Debian 15.18-0+deb12u1)\n").unwrap();
        let binaries = Binaries { folder: PathBuf::new(), version };
        assert_eq!((binaries.version.as_str(), binaries.major()), ("15.18", "15"));
        let beta = Binaries { folder: PathBuf::new(), version: "19beta1".into() };
        assert_eq!(beta.major(), "19");
        assert_eq!(parse_version("something else"), None);
    }
}
