//! Postgres' server refuses to run as root; then it runs as somebody else.

use std::fs;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};
use sha2::{Digest, Sha256};

/// The user that the server runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Account {
    /// Ours.
    Own,
    /// Another, because we are root.
    Other { uid: u32, gid: u32 },
}

impl Account {
    /// Ours, unless we are root: then `postgres`, else `nobody`.
    ///
    /// # Errors
    /// We are root and there is neither.
    pub(super) fn for_server() -> Result<Self> {
        if !rustix::process::geteuid().is_root() {
            return Ok(Self::Own);
        }
        let users = fs::read_to_string("/etc/passwd").context("can't read /etc/passwd")?;
        ["postgres", "nobody"]
            .into_iter()
            .find_map(|name| entry(&users, name))
            .context("Postgres does not run as root, and /etc/passwd has neither `postgres` nor `nobody`")
    }

    /// Makes `command` run as this user.
    pub(super) fn apply(&self, command: &mut Command) {
        match self {
            Self::Own => {}
            Self::Other { uid, gid } => {
                command.uid(*uid).gid(*gid);
            }
        }
        // The current folder may be closed to the user; Postgres' programs want to know where they are.
        command.current_dir("/");
    }

    /// Gives `path` (not what is in it) to this user.
    pub(super) fn own(&self, path: &Path) -> Result<()> {
        match self {
            Self::Own => Ok(()),
            Self::Other { uid, gid } => std::os::unix::fs::chown(path, Some(*uid), Some(*gid))
                .with_context(|| format!("can't give {} to the user that Postgres runs as", path.display())),
        }
    }

    /// Whether this user may pass through every folder down to `path`.
    pub(super) fn can_reach(&self, path: &Path) -> bool {
        match self {
            Self::Own => true,
            Self::Other { uid, gid } => path.ancestors().all(|folder| {
                folder.metadata().is_ok_and(|metadata| {
                    let needed = match (metadata.uid() == *uid, metadata.gid() == *gid) {
                        (true, _) => 0o100,
                        (false, true) => 0o010,
                        (false, false) => 0o001,
                    };
                    metadata.mode() & needed != 0
                })
            }),
        }
    }
}

/// The line of `name` in a passwd file: `name:password:uid:gid:…`.
fn entry(users: &str, name: &str) -> Option<Account> {
    let fields: Vec<&str> =
        users.lines().map(|line| line.split(':').collect()).find(|fields: &Vec<_>| fields[0] == name)?;
    Some(Account::Other { uid: fields.get(2)?.parse().ok()?, gid: fields.get(3)?.parse().ok()? })
}

/// A folder below the system's temp folder that belongs to `keyed_by`, for what can't be in the data folder itself.
///
/// # Errors
/// It can't be made, or somebody else made one of that name: everybody may write there.
pub(super) fn private_temp_folder(keyed_by: &Path) -> Result<PathBuf> {
    let digest = Sha256::digest(keyed_by.as_os_str().as_encoded_bytes());
    let key: String = digest.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
    let folder = std::env::temp_dir().join(format!("order-platform-{key}"));
    // Others may pass through (the server's user has to), not look or write.
    match fs::DirBuilder::new().mode(0o711).create(&folder) {
        Ok(()) => {}
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error).with_context(|| format!("can't make {}", folder.display())),
    }
    let metadata = folder.symlink_metadata().with_context(|| format!("can't look at {}", folder.display()))?;
    if !metadata.is_dir() || metadata.uid() != rustix::process::geteuid().as_raw() {
        bail!("{} belongs to somebody else; remove it or set TMPDIR", folder.display());
    }
    Ok(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    const USERS: &str =
        "root:x:0:0:root:/root:/bin/bash\npostgres:x:101:104:PostgreSQL,,,:/var/lib/postgresql:/bin/bash\n";

    #[test]
    fn user_is_found_by_its_whole_name() {
        assert_eq!(entry(USERS, "postgres"), Some(Account::Other { uid: 101, gid: 104 }));
        assert_eq!(entry(USERS, "post"), None);
    }

    #[test]
    fn folder_closed_to_others_is_out_of_reach_of_another_user() {
        use std::os::unix::fs::PermissionsExt;
        let owner_only = fs::Permissions::from_mode(0o700);
        let closed = tempfile::Builder::new().permissions(owner_only).tempdir().unwrap();
        let stranger = Account::Other { uid: u32::MAX - 7, gid: u32::MAX - 7 };
        assert!(!stranger.can_reach(closed.path()));
        assert!(stranger.can_reach(Path::new("/")));
        assert!(Account::Own.can_reach(closed.path()));
    }
}
