//! Platforms that tests share: starting one takes seconds of both processors.

use std::ops::{Deref, DerefMut};
use std::path::Path;
use std::sync::LazyLock;

use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Mutex, MutexGuard, OnceCell};

use crate::platform::Platform;

/// Outlives the runtime of each test.
static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("threads can be had"));

static CALM: OnceCell<Platform> = OnceCell::const_new();
static FAULTS: Mutex<Option<Platform>> = Mutex::const_new(None);

const SETTINGS: [(&str, &str); 2] = [
    // Nothing but events may complete an order: the sweep would hide an event that got lost.
    ("SWEEP_AFTER", "10m"),
    // Tests wait for spans.
    ("OTEL_BSP_SCHEDULE_DELAY", "100"),
];

/// The platform that nobody harms, started by whoever comes first.
///
/// # Panics
/// When it can't be started.
pub async fn calm(program: &'static str) -> Calm {
    Calm(CALM.get_or_init(|| start(program)).await)
}

/// The platform that this test may break: others wait until it is done. Both services run.
///
/// # Panics
/// When it can't be started.
pub async fn faults(program: &'static str) -> Faults {
    let mut guard = FAULTS.lock().await;
    match &mut *guard {
        Some(platform) => platform.heal().await,
        None => *guard = Some(start(program).await),
    }
    Faults(guard)
}

async fn start(program: &'static str) -> Platform {
    let start = || RUNTIME.block_on(Platform::start(Path::new(program), &SETTINGS));
    let starting = tokio::task::spawn_blocking(start);
    starting.await.expect("no panic while starting").expect("the platform starts")
}

/// See [`calm`].
pub struct Calm(&'static Platform);

impl Deref for Calm {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        self.0
    }
}

impl Drop for Calm {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
        }
    }
}

/// See [`faults`].
pub struct Faults(MutexGuard<'static, Option<Platform>>);

impl Deref for Faults {
    type Target = Platform;

    fn deref(&self) -> &Platform {
        self.0.as_ref().expect("started before it was handed out")
    }
}

impl DerefMut for Faults {
    fn deref_mut(&mut self) -> &mut Platform {
        self.0.as_mut().expect("started before it was handed out")
    }
}

impl Faults {
    /// Ends the platform, for a test that leaves much behind: the audits of the next ones would go through all of it.
    pub fn end(mut self) {
        drop(self.0.take());
    }
}

impl Drop for Faults {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.show_logs();
            // Who knows what state it is in: the next test gets a new one.
            drop(self.0.take());
        }
    }
}
