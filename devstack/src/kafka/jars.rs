//! Apache Kafka's jars: a folder that somebody named, or the cache, filled once with `mvn`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result, bail};

use crate::programs::{find, run};
use crate::{StackOptions, absolute};

/// The version that is fetched.
const VERSION: &str = "4.1.1";

/// The broker and a logging backend for it (its own scripts bring one, the broker's artifact does not).
const POM: &str = r#"<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>order-platform</groupId>
  <artifactId>kafka-jars</artifactId>
  <version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency>
      <groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>@VERSION@</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version>
    </dependency>
    <dependency>
      <groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.1</version>
    </dependency>
  </dependencies>
</project>
"#;

/// A fixed plugin version: without one, Maven asks the network for the newest.
const COPY: &str = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies";

/// A folder with the jars of one version.
#[derive(Debug, Clone)]
pub(super) struct Jars {
    pub(super) folder: PathBuf,
    pub(super) version: String,
}

impl Jars {
    /// `KAFKA_LIBS`, else the cache, else Maven Central into the cache.
    ///
    /// # Errors
    /// `KAFKA_LIBS` has no broker in it, there is no `mvn`, or fetching fails.
    pub(super) async fn find(options: &StackOptions) -> Result<Self> {
        if let Some(folder) = &options.sources.kafka_libs {
            return Self::in_folder(&absolute(folder)?)
                .with_context(|| format!("KAFKA_LIBS={} has no kafka_2.13-VERSION.jar", folder.display()));
        }
        let cache = absolute(&options.cache)?;
        let folder = cache.join(format!("kafka-{VERSION}")).join("libs");
        match Self::in_folder(&folder) {
            Some(jars) => Ok(jars),
            None => fetch(&cache, &folder, options).await,
        }
    }

    fn in_folder(folder: &Path) -> Option<Self> {
        fs::read_dir(folder).ok()?.flatten().find_map(|entry| {
            let name = entry.file_name();
            let version = name.to_str()?.strip_prefix("kafka_2.13-")?.strip_suffix(".jar")?;
            Some(Self { folder: folder.to_owned(), version: version.to_owned() })
        })
    }

    /// What java's `-cp` takes.
    pub(super) fn class_path(&self) -> PathBuf {
        self.folder.join("*")
    }
}

/// Fetches into a temporary folder and renames that: other processes see all jars or none, and when two fetch at once,
/// the second to finish uses the first one's.
async fn fetch(cache: &Path, folder: &Path, options: &StackOptions) -> Result<Jars> {
    let path = options.sources.path.as_deref();
    let Some(maven) = find("mvn", path) else {
        bail!("its jars are not here and there is no `mvn` to fetch them; install Maven or set KAFKA_LIBS");
    };
    options.say("kafka", format!("fetching Apache Kafka {VERSION} with mvn into {} (once)", cache.display()));
    fs::create_dir_all(cache).with_context(|| format!("can't make the cache {}", cache.display()))?;
    let work = tempfile::tempdir_in(cache).with_context(|| format!("can't write to the cache {}", cache.display()))?;
    let pom = work.path().join("pom.xml");
    fs::write(&pom, POM.replace("@VERSION@", VERSION)).with_context(|| format!("can't write {}", pom.display()))?;
    let fetched = work.path().join("kafka");
    let mut command = Command::new(maven);
    command.args(["-q", "-B", "-f"]).arg(&pom).arg(COPY).arg("-DincludeScope=runtime");
    command.arg(format!("-DoutputDirectory={}", fetched.join("libs").display()));
    run(command).await.context("can't fetch its jars")?;

    let target = folder.parent().context("the jars' folder has a parent")?;
    if let Err(error) = fs::rename(&fetched, target)
        && Jars::in_folder(folder).is_none()
    {
        return Err(error).with_context(|| format!("can't put the jars into {}", target.display()));
    }
    Jars::in_folder(folder).with_context(|| format!("mvn put no broker into {}", folder.display()))
}
