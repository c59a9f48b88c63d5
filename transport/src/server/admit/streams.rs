//! How many streams are open at once. They are counted apart from unary calls: one that watches an order is idle most of
//! the time and may last for days, so it must not take the room of a call, and its time says nothing about load. What it
//! costs is memory, which this bounds.

use std::collections::HashMap;

use super::caller::Caller;

/// Streams that may be open.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StreamSettings {
    /// On this server.
    pub(crate) most: usize,
    /// By one caller.
    pub(crate) most_by_caller: usize,
}

/// As many streams are open as may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct TooManyStreams;

#[derive(Debug)]
pub(super) struct Streams {
    settings: StreamSettings,
    open: usize,
    /// Only callers with an open stream, so no more of them than streams.
    by_caller: HashMap<Caller, usize>,
}

impl Streams {
    pub(super) fn new(settings: StreamSettings) -> Self {
        Self { settings, open: 0, by_caller: HashMap::new() }
    }

    pub(super) fn open(&mut self, caller: &Caller) -> Result<(), TooManyStreams> {
        let by_caller = self.by_caller.get(caller).copied().unwrap_or_default();
        if self.open >= self.settings.most || by_caller >= self.settings.most_by_caller {
            return Err(TooManyStreams);
        }
        self.open += 1;
        self.by_caller.insert(caller.clone(), by_caller + 1);
        Ok(())
    }

    pub(super) fn close(&mut self, caller: &Caller) {
        self.open -= 1;
        let Some(by_caller) = self.by_caller.get_mut(caller) else { return };
        *by_caller -= 1;
        if *by_caller == 0 {
            self.by_caller.remove(caller);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::server::Principal;

    #[test]
    fn streams_are_bounded_by_caller_and_in_all_and_nobody_is_remembered() {
        let caller = |name| Caller::Principal(Principal::new(name));
        let mut streams = Streams::new(StreamSettings { most: 3, most_by_caller: 2 });
        assert_eq!(streams.open(&caller("a")), Ok(()));
        assert_eq!(streams.open(&caller("a")), Ok(()));
        assert_eq!(streams.open(&caller("a")), Err(TooManyStreams));
        assert_eq!(streams.open(&caller("b")), Ok(()));
        assert_eq!(streams.open(&caller("b")), Err(TooManyStreams));
        streams.close(&caller("a"));
        assert_eq!(streams.open(&caller("b")), Ok(()));
        for name in ["a", "b", "b"] {
            streams.close(&caller(name));
        }
        assert!(streams.by_caller.is_empty() && streams.open == 0);
    }
}
