//! What is logged, changed while the process runs.

use std::sync::{Arc, Mutex, PoisonError};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;

use super::{LogFilter, LogFilterError};

/// The log filter of a running process. Clones are of the same one.
#[derive(Clone, Debug)]
pub struct LogLevels {
    handle: reload::Handle<EnvFilter, Registry>,
    current: Arc<Mutex<LogFilter>>,
}

impl LogLevels {
    /// The filter that begins a subscriber, and the handle on it.
    pub(super) fn new(filter: &LogFilter) -> Result<(reload::Layer<EnvFilter, Registry>, Self), LogFilterError> {
        let (layer, handle) = reload::Layer::new(filter.build()?);
        Ok((layer, Self { handle, current: Arc::new(Mutex::new(filter.clone())) }))
    }

    /// A filter that belongs to no subscriber; for tests of whoever changes one.
    ///
    /// # Errors
    /// It can't be read; a parsed one always can.
    pub fn apart(filter: &LogFilter) -> Result<Self, LogFilterError> {
        Self::new(filter).map(|(_, levels)| levels)
    }

    /// What holds now.
    #[must_use]
    pub fn current(&self) -> LogFilter {
        self.current.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Makes `filter` hold from the next line on.
    ///
    /// # Errors
    /// It can't be read; a parsed one always can.
    pub fn change(&self, filter: &LogFilter) -> Result<(), LogFilterError> {
        let built = filter.build()?;
        let mut current = self.current.lock().unwrap_or_else(PoisonError::into_inner);
        if self.handle.reload(built).is_err() {
            // The subscriber is gone: nothing is logged any more, whatever the filter says.
        }
        *current = filter.clone();
        Ok(())
    }
}
