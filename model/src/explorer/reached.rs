use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};

use crate::world::World;

/// The states that were reached, each with a number, in the order in which they were.
pub(super) struct Reached {
    worlds: Vec<World>,
    /// Of each state, the one that it was first reached from.
    parents: Vec<u32>,
    /// Numbers by hash; a state whose hash is taken by another state has the next hash that is free.
    numbers: HashMap<u64, u32, BuildHasherDefault<Mixer>>,
}

impl Reached {
    pub(super) fn from(beginning: World) -> Self {
        let mut reached = Self { worlds: Vec::new(), parents: Vec::new(), numbers: HashMap::default() };
        reached.number(beginning, 0);
        reached
    }

    pub(super) fn count(&self) -> usize {
        self.worlds.len()
    }

    /// The number of a state, which is a new one if it was not reached before.
    pub(super) fn number(&mut self, world: World, parent: u32) -> u32 {
        let mut hash = BuildHasherDefault::<Mixer>::default().hash_one(&world);
        loop {
            match self.numbers.entry(hash) {
                Entry::Occupied(known) if self.worlds[index(*known.get())] == world => return *known.get(),
                Entry::Occupied(_) => hash = hash.wrapping_add(1),
                Entry::Vacant(vacant) => {
                    let number = u32::try_from(self.worlds.len()).expect("a small world has fewer states");
                    vacant.insert(number);
                    self.worlds.push(world);
                    self.parents.push(parent);
                    return number;
                }
            }
        }
    }

    pub(super) fn world(&self, number: u32) -> &World {
        &self.worlds[index(number)]
    }

    /// The states on the way from the beginning to that one, both included.
    pub(super) fn way_to(&self, mut number: u32) -> Vec<&World> {
        let mut way = vec![self.world(number)];
        while number != 0 {
            number = self.parents[index(number)];
            way.push(self.world(number));
        }
        way.reverse();
        way
    }
}

fn index(number: u32) -> usize {
    usize::try_from(number).expect("it is an index")
}

/// A hasher for states: the standard one, which resists strangers who choose what is hashed, takes half of the time. Here
/// nobody does.
#[derive(Default)]
struct Mixer(u64);

impl Hasher for Mixer {
    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.write_u64(u64::from_le_bytes(word));
        }
    }

    fn write_u8(&mut self, value: u8) {
        self.write_u64(value.into());
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = (self.0.rotate_left(5) ^ value).wrapping_mul(0x517c_c1b7_2722_0a95);
    }

    fn write_usize(&mut self, value: usize) {
        self.write(&value.to_le_bytes());
    }

    fn finish(&self) -> u64 {
        self.0 ^ (self.0 >> 32)
    }
}
