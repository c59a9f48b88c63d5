use super::{NONE, Number};

/// Up to eight numbers in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Queue(u64);

impl Queue {
    /// In order.
    pub fn iter(self) -> impl Iterator<Item = Number> {
        self.0.to_le_bytes().into_iter().take_while(|number| *number != NONE)
    }

    /// How many.
    #[must_use]
    pub fn len(self) -> usize {
        self.iter().count()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// One more at the end.
    ///
    /// # Panics
    /// When there is no room: the scenario is too large.
    pub fn push(&mut self, number: Number) {
        let length = self.len();
        assert!(length < 8, "a queue holds eight numbers");
        self.0 |= u64::from(number) << (8 * length);
    }

    /// The number at `place`.
    #[must_use]
    pub fn get(self, place: usize) -> Option<Number> {
        self.iter().nth(place)
    }

    /// Puts `number` at `place`, where there is one.
    pub fn set(&mut self, place: usize, number: Number) {
        let mut bytes = self.0.to_le_bytes();
        bytes[place] = number;
        self.0 = u64::from_le_bytes(bytes);
    }

    /// Takes out what is at `place`.
    pub fn remove(&mut self, place: usize) {
        let mut bytes = self.0.to_le_bytes();
        bytes.copy_within(place + 1.., place);
        bytes[7] = NONE;
        self.0 = u64::from_le_bytes(bytes);
    }
}
