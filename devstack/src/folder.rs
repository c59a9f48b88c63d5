//! The data folder belongs to one process at a time.

use std::fs::{self, File, TryLockError};
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::absolute;

/// Held by every part that runs on a data folder; the folder is free again when the last of them is gone, and always
/// when the process is, because the system drops a dead process' file locks.
#[derive(Debug, Clone)]
pub struct DataLock {
    data: PathBuf,
    _held: Arc<File>,
}

impl DataLock {
    /// Makes the folder if it is missing and takes it for this process.
    ///
    /// # Errors
    /// Another stack holds it (the text names its process id), or the folder can't be written.
    pub fn acquire(data: &Path) -> Result<Self> {
        let data = absolute(data)?;
        fs::create_dir_all(&data).with_context(|| format!("can't make the data folder {}", data.display()))?;
        let path = data.join(".lock");
        let mut file = File::options()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)
            .with_context(|| format!("can't open {}", path.display()))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                file.read_to_string(&mut holder).with_context(|| format!("can't read {}", path.display()))?;
                bail!(
                    "another `orderctl up` (pid {}) runs on {}; stop it or pass --data",
                    holder.trim(),
                    data.display()
                );
            }
            Err(TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("can't lock {}", path.display()));
            }
        }
        file.set_len(0)
            .and_then(|()| writeln!(file, "{}", std::process::id()))
            .with_context(|| format!("can't write {}", path.display()))?;
        Ok(Self { data, _held: Arc::new(file) })
    }

    /// The folder, absolute.
    pub fn data(&self) -> &Path {
        &self.data
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_lock_is_refused_with_the_process_id_of_the_first() {
        let folder = tempfile::tempdir().unwrap();
        let first = DataLock::acquire(folder.path()).unwrap();
        let error = DataLock::acquire(folder.path()).unwrap_err().to_string();
        assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
        drop(first);
        DataLock::acquire(folder.path()).unwrap();
    }
}
