//! A bounded memory of what this process has committed lately.
//!
//! Most events tell a service what it knows already, because the call that caused them came first. Such a record need not
//! ask the database: what was committed stays so, and a state that moves only forward does not take it back. The memory
//! may forget, and another replica's commits are not in it; then the database is asked as ever. It holds only as long as
//! nobody sets the database back under the running service (a restore wants the service stopped anyway).

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The last entries, between one and two times its size.
#[derive(Debug)]
pub struct Recent<K, V> {
    size: usize,
    generations: Mutex<Generations<K, V>>,
}

#[derive(Debug)]
struct Generations<K, V> {
    young: HashMap<K, V>,
    old: HashMap<K, V>,
}

impl<K: Eq + Hash, V: Copy> Recent<K, V> {
    /// Remembers at least the last `size` entries.
    #[must_use]
    pub fn new(size: usize) -> Self {
        Self { size, generations: Mutex::new(Generations { young: HashMap::new(), old: HashMap::new() }) }
    }

    /// Remembers entries that were committed.
    pub fn remember(&self, entries: impl IntoIterator<Item = (K, V)>) {
        let mut generations = self.lock();
        for (key, value) in entries {
            if generations.young.len() >= self.size {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(key, value);
        }
    }

    /// What was remembered last, if it is not forgotten.
    #[must_use]
    pub fn get(&self, key: &K) -> Option<V> {
        let generations = self.lock();
        generations.young.get(key).or_else(|| generations.old.get(key)).copied()
    }

    fn lock(&self) -> MutexGuard<'_, Generations<K, V>> {
        // A panic in between loses entries at most, which may be forgotten.
        self.generations.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::Recent;

    #[test]
    fn the_last_entries_are_remembered_and_the_number_is_bounded() {
        let recent = Recent::new(100);
        recent.remember((0..1_000).map(|key| (key, key * 2)));
        assert!((900..1_000).all(|key| recent.get(&key) == Some(key * 2)));
        let remembered = (0..1_000).filter(|key| recent.get(key).is_some()).count();
        assert!((100..=200).contains(&remembered), "{remembered}");
    }

    #[test]
    fn the_latest_value_of_a_key_counts() {
        let recent = Recent::new(2);
        recent.remember([("a", 1), ("b", 1), ("a", 2)]);
        assert_eq!((recent.get(&"a"), recent.get(&"b"), recent.get(&"c")), (Some(2), Some(1), None));
    }
}
