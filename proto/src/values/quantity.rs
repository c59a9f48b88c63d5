use super::InvalidValue;

/// Units of one SKU in an order: 1 to 10,000.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quantity(u32);

impl Quantity {
    /// The most units of one SKU in an order.
    pub const MOST: u32 = 10_000;

    /// Reads the field.
    ///
    /// # Errors
    /// Says what the field has to look like.
    pub fn parse(units: u32) -> Result<Self, InvalidValue> {
        if (1..=Self::MOST).contains(&units) { Ok(Self(units)) } else { Err(InvalidValue("must be from 1 to 10000")) }
    }

    /// Units.
    #[must_use]
    pub fn get(self) -> u32 {
        self.0
    }
}
