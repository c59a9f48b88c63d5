use crate::world::{NONE, Number};

/// Most numbers given: an outbox marks its rows with the bits above.
const MOST: usize = 63;

/// Gives each different value a number, from 1 on.
pub(super) struct Numbers<T>(Vec<T>);

impl<T> Default for Numbers<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T: PartialEq> Numbers<T> {
    pub(super) fn number(&mut self, value: T) -> Number {
        let place = self.0.iter().position(|known| *known == value).unwrap_or_else(|| {
            self.0.push(value);
            self.0.len() - 1
        });
        assert!(place < MOST, "a small world has few different values");
        u8::try_from(place + 1).expect("there are at most 63")
    }

    pub(super) fn get(&self, number: Number) -> Option<&T> {
        if number == NONE { None } else { self.0.get(usize::from(number) - 1) }
    }
}
