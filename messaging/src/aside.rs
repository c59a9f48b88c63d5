//! Clients of librdkafka end slowly: destroying one flushes, and joins its threads.

use std::ops::Deref;

/// A client that is destroyed on a thread where blocking hurts nobody, wherever it is dropped.
pub(crate) struct Aside<C: Send + 'static>(Option<C>);

impl<C: Send + 'static> Aside<C> {
    pub(crate) fn new(client: C) -> Self {
        Self(Some(client))
    }
}

impl<C: Send + 'static> Deref for Aside<C> {
    type Target = C;

    fn deref(&self) -> &C {
        self.0.as_ref().expect("the client is taken out only when this is dropped")
    }
}

impl<C: Send + 'static> Drop for Aside<C> {
    fn drop(&mut self) {
        let client = self.0.take();
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn_blocking(move || drop(client))),
            Err(_) => drop(client),
        }
    }
}
