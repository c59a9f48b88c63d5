//! Rules and dashboards name metrics that exist, alerts are complete, tested and explained, and dashboards are regular.
//!
//! Whether expressions are right is for `promtool test rules`; whether panels have data, for a running platform. This is
//! what a renamed metric or a forgotten runbook would break in silence.

mod dashboards;
mod expression;
mod known;
mod rules;

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file of this crate's folder.
fn file(path: &str) -> String {
    let path = folder(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn folder(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The files in a folder, by name, with their contents.
fn files(path: &str) -> Vec<(String, String)> {
    let read = || -> io::Result<Vec<(String, String)>> {
        let mut files = Vec::new();
        for entry in fs::read_dir(folder(path))? {
            let entry = entry?;
            files.push((entry.file_name().to_string_lossy().into_owned(), fs::read_to_string(entry.path())?));
        }
        files.sort();
        Ok(files)
    };
    let files = read().unwrap_or_else(|error| panic!("{path}: {error}"));
    assert!(!files.is_empty(), "{path} is empty");
    files
}
