//! The tracer of this process.
//!
//! The one piece of global state besides the metrics recorder and the log subscriber, and for their reason: a span is
//! opened deep inside code that has nothing but a [`Context`](opentelemetry::Context) at hand.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{PoisonError, RwLock};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_sdk::trace::{SdkTracer, SdkTracerProvider};
use opentelemetry_semantic_conventions::SCHEMA_URL;

static CURRENT: RwLock<Option<CurrentTracer>> = RwLock::new(None);
static INSTALLATIONS: AtomicU64 = AtomicU64::new(0);

pub(crate) struct CurrentTracer {
    pub(crate) tracer: SdkTracer,
    /// A trace that the caller does not record is not recorded here either.
    pub(crate) follows_parent: bool,
    installation: u64,
}

/// Names one installation, so that a service that stops takes away its own tracer and not a later one.
#[derive(Debug)]
pub(super) struct Installed(u64);

pub(super) fn install(provider: &SdkTracerProvider, name: &str, version: &str, follows_parent: bool) -> Installed {
    let scope = InstrumentationScope::builder(name.to_owned())
        .with_version(version.to_owned())
        .with_schema_url(SCHEMA_URL)
        .build();
    let installation = INSTALLATIONS.fetch_add(1, Ordering::Relaxed);
    let tracer = provider.tracer_with_scope(scope);
    store(Some(CurrentTracer { tracer, follows_parent, installation }));
    Installed(installation)
}

pub(super) fn uninstall(installed: Installed) {
    if with_current(|current| current.installation == installed.0) == Some(true) {
        store(None);
    }
}

/// Runs `action` with the tracer; `None` while there is none (disabled, not started, stopped).
pub(crate) fn with_current<T>(action: impl FnOnce(&CurrentTracer) -> T) -> Option<T> {
    // A poisoned lock still holds a whole value: it is only ever replaced.
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(action)
}

fn store(tracer: Option<CurrentTracer>) {
    *CURRENT.write().unwrap_or_else(PoisonError::into_inner) = tracer;
}
