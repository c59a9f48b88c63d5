use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt as _;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use anyhow::{Context as _, Result};

/// Waits for our end of the pipe to break; then ends the servers whose process ids are in the folder, at once, because
/// nobody will want their data (Postgres cleans up behind itself when it is told, not when it is killed), and removes it.
const JANITOR: &str = r#"
read -r _
for file in "$1"/*.pid; do
    case $file in
        */postgres.pid) signal=QUIT ;;
        *) signal=KILL ;;
    esac
    [ ! -r "$file" ] || kill -s "$signal" "$(cat "$file")" 2>/dev/null
done
is_running() {
    [ -r "$1" ] && pid=$(cat "$1") && kill -0 "$pid" 2>/dev/null || return 1
    # One that has ended and only waits for somebody to ask how does not count.
    state=
    [ ! -r "/proc/$pid/stat" ] || read -r state <"/proc/$pid/stat"
    case $state in *") Z "*) return 1 ;; esac
}
tries=0
while [ "$tries" -lt 200 ]; do
    left=
    for file in "$1"/*.pid; do
        if is_running "$file"; then left=yes; fi
    done
    [ -n "$left" ] || break
    sleep 0.05
    tries=$((tries + 1))
done
rm -rf "$1"
"#;

static MADE: AtomicU32 = AtomicU32::new(0);

/// A new folder that is gone soon after this value is, and soon after this process is: statics are never dropped, and a
/// killed process drops nothing, so a shell removes it that waits for either.
#[derive(Debug)]
pub(crate) struct DataFolder {
    path: PathBuf,
    janitor: Child,
}

impl DataFolder {
    pub(crate) fn make() -> Result<Self> {
        let number = MADE.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("order-platform-tests-{}-{number}", std::process::id()));
        // The user that Postgres runs as has to get in.
        DirBuilder::new().mode(0o755).create(&path).with_context(|| format!("can't make {}", path.display()))?;
        let janitor = Command::new("/bin/sh")
            .args(["-c", JANITOR, "janitor"])
            .arg(&path)
            .current_dir("/")
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C must not reach it before its work is done.
            .process_group(0)
            .spawn()
            .context("can't start /bin/sh")?;
        Ok(Self { path, janitor })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for DataFolder {
    fn drop(&mut self) {
        drop(self.janitor.stdin.take());
        drop(self.janitor.wait());
    }
}
