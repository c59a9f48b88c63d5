//! Which server to use for what, usually said by the environment.

use std::ffi::OsString;
use std::path::PathBuf;

use anyhow::{Result, bail};

/// Which server to use for what.
///
/// `DEVSTACK_POSTGRES_URL`, `KAFKA_BOOTSTRAP_SERVERS` and `DEVSTACK_OTLP_ENDPOINT` with `DEVSTACK_JAEGER_URL` name
/// servers that run already. `KAFKA_LIBS`, `JAVA_HOME`, `JAEGER_BIN` and `PATH` say where programs are.
/// `DEVSTACK_EMBEDDED=1`, or a list of `postgres,kafka,traces`, forces substitutes;
/// `DEVSTACK_REQUIRE_REAL=1` forbids them.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// A running Postgres: a `postgres://` URL of a role that may create databases.
    pub postgres_url: Option<String>,
    /// A running Kafka, as `host:port,…`.
    pub kafka_bootstrap_servers: Option<String>,
    /// A running OTLP/gRPC receiver, as `http://host:port`. Needs `jaeger_url` too.
    pub otlp_endpoint: Option<String>,
    /// The running Jaeger's query API, as `http://host:port`. Needs `otlp_endpoint` too.
    pub jaeger_url: Option<String>,
    /// A folder of Apache Kafka's jars.
    pub kafka_libs: Option<PathBuf>,
    /// Where a Java runtime is installed.
    pub java_home: Option<PathBuf>,
    /// Jaeger v2's binary.
    pub jaeger_bin: Option<PathBuf>,
    /// Where programs are looked for, like the variable of that name.
    pub path: Option<OsString>,
    /// Substitutes that are used even where the real server could be.
    pub embedded: Embedded,
    /// Makes needing a substitute an error that says what is missing.
    pub require_real: bool,
}

/// The parts that are replaced by their substitutes whatever the machine has.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Embedded {
    /// Postgres binaries from Maven Central instead of the machine's.
    pub postgres: bool,
    /// librdkafka's mock broker instead of Apache Kafka.
    pub kafka: bool,
    /// Our own trace store instead of Jaeger.
    pub traces: bool,
}

impl Embedded {
    /// Everything embedded.
    pub const ALL: Self = Self { postgres: true, kafka: true, traces: true };

    fn parse(text: &str) -> Self {
        let mut embedded = Self::default();
        for word in text.split(',').map(str::trim) {
            match word {
                "1" | "true" | "all" => embedded = Self::ALL,
                "postgres" => embedded.postgres = true,
                "kafka" => embedded.kafka = true,
                "traces" => embedded.traces = true,
                _ => {}
            }
        }
        embedded
    }
}

impl Sources {
    /// What this process' environment says.
    pub fn from_environment() -> Self {
        Self::from_variables(|name| std::env::var_os(name))
    }

    /// What `variable` says; an empty value counts as none.
    fn from_variables(variable: impl Fn(&str) -> Option<OsString>) -> Self {
        let value = |name: &str| variable(name).filter(|value| !value.is_empty());
        let text = |name: &str| value(name).map(|value| value.to_string_lossy().into_owned());
        Self {
            postgres_url: text("DEVSTACK_POSTGRES_URL"),
            kafka_bootstrap_servers: text("KAFKA_BOOTSTRAP_SERVERS"),
            otlp_endpoint: text("DEVSTACK_OTLP_ENDPOINT"),
            jaeger_url: text("DEVSTACK_JAEGER_URL"),
            kafka_libs: value("KAFKA_LIBS").map(PathBuf::from),
            java_home: value("JAVA_HOME").map(PathBuf::from),
            jaeger_bin: value("JAEGER_BIN").map(PathBuf::from),
            path: value("PATH"),
            embedded: text("DEVSTACK_EMBEDDED").map(|list| Embedded::parse(&list)).unwrap_or_default(),
            require_real: text("DEVSTACK_REQUIRE_REAL").is_some_and(|value| matches!(value.as_str(), "1" | "true")),
        }
    }

    /// The gate before each substitute that nobody asked for.
    ///
    /// # Errors
    /// Substitutes are forbidden; the text says what is missing.
    pub(crate) fn allow_substitute(&self, missing: &str) -> Result<()> {
        if self.require_real {
            bail!("{missing}, and DEVSTACK_REQUIRE_REAL forbids the embedded substitute");
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sources(variables: &[(&str, &str)]) -> Sources {
        Sources::from_variables(|name| {
            variables.iter().find(|(known, _)| *known == name).map(|(_, value)| OsString::from(value))
        })
    }

    #[test]
    fn list_embeds_only_what_it_names() {
        let embedded = sources(&[("DEVSTACK_EMBEDDED", "kafka, traces")]).embedded;
        assert_eq!(embedded, Embedded { postgres: false, kafka: true, traces: true });
        assert_eq!(sources(&[("DEVSTACK_EMBEDDED", "1")]).embedded, Embedded::ALL);
        assert_eq!(sources(&[("DEVSTACK_EMBEDDED", "0")]).embedded, Embedded::default());
    }

    #[test]
    fn required_real_server_refuses_the_substitute_and_says_what_is_missing() {
        let error = sources(&[("DEVSTACK_REQUIRE_REAL", "1")]).allow_substitute("no java on PATH").unwrap_err();
        assert!(error.to_string().contains("no java on PATH"));
        assert!(sources(&[("DEVSTACK_REQUIRE_REAL", "")]).allow_substitute("no java on PATH").is_ok());
    }
}
