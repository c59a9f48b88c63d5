//! The addresses of a target that are in use, and which of them gets the next call.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

use ::metrics::Gauge;
use observability::names;
use tokio::time::Instant;

use super::address::Address;
use super::ejection::{AddressId, Ejections, Failed};

/// Shared by all calls to a target and by its resolver.
pub(in super::super) struct Addresses {
    all: RwLock<Arc<[Arc<Address>]>>,
    ejections: Mutex<Ejections>,
    server_address: String,
    ejected: Gauge,
    next_look: AtomicUsize,
}

impl Addresses {
    pub(super) fn new(server_address: &str, all: Vec<Arc<Address>>) -> Self {
        let ejected =
            ::metrics::gauge!(names::RPC_CLIENT_EJECTED_ADDRESSES, "server_address" => server_address.to_owned());
        let addresses = Self {
            all: RwLock::default(),
            ejections: Mutex::default(),
            server_address: server_address.to_owned(),
            ejected,
            next_look: AtomicUsize::new(0),
        };
        addresses.replace(all);
        addresses
    }

    /// Uses these from now on. Calls to others end undisturbed.
    pub(super) fn replace(&self, all: Vec<Arc<Address>>) {
        let mut ejections = self.ejections();
        ejections.set_members(all.iter().map(|address| address.id));
        *self.all.write().unwrap_or_else(PoisonError::into_inner) = all.into();
        self.show(&ejections, Instant::now());
    }

    /// The less busy of two that are picked at random
    /// ([the power of two choices](https://www.eecs.harvard.edu/~michaelm/postscripts/handbook2001.pdf)): as good as
    /// asking all, and callers that look at the same moment don't all run to the same one. Ejected addresses are left
    /// out, and so is `avoid`, which has just failed, if there is any other.
    pub(super) fn pick(&self, avoid: Option<AddressId>, now: Instant) -> Option<Arc<Address>> {
        let all = self.all();
        if let [only] = &*all {
            return Some(Arc::clone(only));
        }
        let usable = self.usable(&all, avoid, now);
        let first = rand::random_range(0..usable.len().max(1));
        let one = usable.get(first)?;
        let Some(others) = usable.len().checked_sub(1).filter(|others| *others > 0) else {
            return Some(Arc::clone(one));
        };
        let other = usable[(first + rand::random_range(1..=others)) % usable.len()];
        Some(Arc::clone(if other.in_flight() < one.in_flight() { other } else { one }))
    }

    /// The addresses to be asked for their health: another one first each time.
    pub(in super::super) fn in_turn(&self, count: usize) -> impl Iterator<Item = Arc<Address>> + use<> {
        let all = self.all();
        let start = self.next_look.fetch_add(1, Ordering::Relaxed);
        (0..count).filter_map(move |look| all.get(start.wrapping_add(look).checked_rem(all.len())?).cloned())
    }

    pub(super) fn succeeded(&self, address: &Address) {
        self.ejections().succeeded(address.id);
    }

    /// Whether the failure is to be held against the target as a whole.
    pub(super) fn failed(&self, address: &Address, now: Instant) -> bool {
        let mut ejections = self.ejections();
        match ejections.failed(address.id, now) {
            Failed::Counts => true,
            Failed::IsLeftOut => false,
            Failed::Ejects(time) => {
                self.show(&ejections, now);
                let (target, name, duration_s) = (&self.server_address, &address.name, time.as_secs());
                let text = "address ejected: its calls keep failing";
                tracing::warn!(server.address = %target, network.peer.address = %name, duration_s, "{text}");
                false
            }
        }
    }

    /// The gauge goes down again when this is called after an ejection's end.
    pub(in super::super) fn show_ejected(&self, now: Instant) {
        self.show(&self.ejections(), now);
    }

    fn usable<'all>(
        &self,
        all: &'all [Arc<Address>],
        avoid: Option<AddressId>,
        now: Instant,
    ) -> Vec<&'all Arc<Address>> {
        let ejections = self.ejections();
        let mut usable: Vec<_> = all.iter().filter(|address| !ejections.is_ejected(address.id, now)).collect();
        if usable.iter().any(|address| Some(address.id) != avoid) {
            usable.retain(|address| Some(address.id) != avoid);
        }
        usable
    }

    fn show(&self, ejections: &Ejections, now: Instant) {
        self.ejected.set(u32::try_from(ejections.ejected(now)).unwrap_or(u32::MAX));
    }

    fn all(&self) -> Arc<[Arc<Address>]> {
        Arc::clone(&self.all.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Each change leaves the ejections whole, even if a holder of the lock panicked.
    fn ejections(&self) -> MutexGuard<'_, Ejections> {
        self.ejections.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
