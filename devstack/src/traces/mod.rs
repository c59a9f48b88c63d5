//! Where spans go and are asked for.

mod jaeger;
mod otlp;
mod query;
mod receiver;
mod shapes;
mod store;

use std::path::Path;

use anyhow::{Result, bail};

use self::jaeger::Jaeger;
use self::receiver::Receiver;
use crate::{DataLock, StackOptions, external};

/// A running trace store.
#[derive(Debug)]
pub struct Traces {
    server: Server,
}

#[derive(Debug)]
enum Server {
    External { otlp_endpoint: String, query_url: String },
    Jaeger(Box<Jaeger>),
    Receiver(Box<Receiver>),
}

impl Traces {
    /// Starts a trace store alone, on a data folder of its own.
    ///
    /// # Errors
    /// As [`crate::Stack::start`].
    pub async fn start(options: &StackOptions) -> Result<Self> {
        Self::start_in(options, DataLock::acquire(&options.data)?).await
    }

    pub(crate) async fn start_in(options: &StackOptions, lock: DataLock) -> Result<Self> {
        let sources = &options.sources;
        let server = match (&sources.otlp_endpoint, &sources.jaeger_url) {
            (Some(otlp_endpoint), Some(query_url)) => {
                let query_url = query_url.trim_end_matches('/').to_owned();
                jaeger::check_answers(&query_url).await?;
                Server::External { otlp_endpoint: otlp_endpoint.clone(), query_url }
            }
            (None, None) => Self::start_local(options, lock).await?,
            (Some(_), None) | (None, Some(_)) => {
                bail!("DEVSTACK_OTLP_ENDPOINT and DEVSTACK_JAEGER_URL name two sides of one server: set both or none")
            }
        };
        let traces = Self { server };
        options.say("traces", traces.description());
        Ok(traces)
    }

    async fn start_local(options: &StackOptions, lock: DataLock) -> Result<Server> {
        if !options.sources.embedded.traces {
            if let Some(program) = jaeger::find(&options.sources)? {
                return Ok(Server::Jaeger(Box::new(Jaeger::start(program, options, lock).await?)));
            }
            let missing = "Jaeger was not found on this machine (JAEGER_BIN, or `jaeger` on PATH)";
            options.sources.allow_substitute(missing)?;
            options.say("traces", format!("{missing}: using the EMBEDDED SUBSTITUTE"));
        }
        Ok(Server::Receiver(Box::new(Receiver::start(options.ports).await?)))
    }

    /// Where to export spans to, by OTLP over gRPC: `http://127.0.0.1:4317`.
    pub fn otlp_endpoint(&self) -> &str {
        match &self.server {
            Server::External { otlp_endpoint, .. } => otlp_endpoint,
            Server::Jaeger(jaeger) => &jaeger.otlp_endpoint,
            Server::Receiver(receiver) => &receiver.otlp_endpoint,
        }
    }

    /// The base of Jaeger's query API: `http://127.0.0.1:16686`, to be followed by `/api/…`. The substitute knows
    /// `/api/services`, `/api/traces` and `/api/traces/{id}`.
    pub fn query_url(&self) -> &str {
        match &self.server {
            Server::External { query_url, .. } => query_url,
            Server::Jaeger(jaeger) => &jaeger.query_url,
            Server::Receiver(receiver) => &receiver.query_url,
        }
    }

    /// Where services ask for sampling rates (over gRPC, for OTEL_TRACES_SAMPLER_ARG), and the file with what they are
    /// told, which is read again each second; `None` where the store is not a Jaeger of ours.
    pub fn sampling(&self) -> Option<(&str, &Path)> {
        match &self.server {
            Server::Jaeger(jaeger) => Some((&jaeger.sampling_endpoint, &jaeger.sampling_file)),
            Server::External { .. } | Server::Receiver(_) => None,
        }
    }

    /// Which store this is and where it came from, in one line.
    pub fn description(&self) -> String {
        let addresses = format!("OTLP {}, query {}", self.otlp_endpoint(), self.query_url());
        match &self.server {
            Server::External { .. } => format!("Jaeger from DEVSTACK_JAEGER_URL ({addresses})"),
            Server::Jaeger(jaeger) => format!("Jaeger from {} ({addresses})", jaeger.program.display()),
            Server::Receiver(_) => {
                format!("EMBEDDED SUBSTITUTE: a receiver that keeps the last traces in memory ({addresses})")
            }
        }
    }

    /// Whether this is our own receiver instead of Jaeger.
    pub fn is_substitute(&self) -> bool {
        match &self.server {
            Server::External { .. } | Server::Jaeger(_) => false,
            Server::Receiver(_) => true,
        }
    }

    /// The store's process id, if it is a process of ours.
    pub fn pid(&self) -> Option<u32> {
        match &self.server {
            Server::External { .. } | Server::Receiver(_) => None,
            Server::Jaeger(jaeger) => jaeger.pid(),
        }
    }

    /// Ends the store as a crash would. The traces are gone: neither store keeps them on disk.
    ///
    /// # Errors
    /// It is not ours, or the system refuses.
    pub async fn kill(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Jaeger"),
            Server::Jaeger(jaeger) => jaeger.kill().await,
            Server::Receiver(receiver) => {
                receiver.stop().await;
                Ok(())
            }
        }
    }

    /// Stops the store if it runs and starts it again, empty, on the same ports.
    ///
    /// # Errors
    /// It is not ours, or does not come up.
    pub async fn restart(&mut self) -> Result<()> {
        match &mut self.server {
            Server::External { .. } => external::refuse("Jaeger"),
            Server::Jaeger(jaeger) => jaeger.restart().await,
            Server::Receiver(receiver) => receiver.restart().await,
        }
    }

    /// Stops the store if it is ours.
    ///
    /// # Errors
    /// The system refuses to signal it.
    pub async fn stop(self) -> Result<()> {
        match self.server {
            Server::External { .. } => Ok(()),
            Server::Jaeger(jaeger) => jaeger.stop().await,
            Server::Receiver(mut receiver) => {
                receiver.stop().await;
                Ok(())
            }
        }
    }
}
