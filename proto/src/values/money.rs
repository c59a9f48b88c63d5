use super::InvalidValue;
use crate::google::r#type::Money as MoneyMessage;

/// Three upper-case letters of ISO 4217.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

/// An amount that is not negative, exact to a billionth of a unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Money {
    currency: Currency,
    /// Whole units, 0 or more.
    units: i64,
    /// Billionths of a unit, 0 to 999,999,999.
    nanos: i32,
}

/// The sum is more than the platform counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the amount is too large")]
pub struct AmountTooLarge;

const NANOS_PER_UNIT: i128 = 1_000_000_000;

impl Currency {
    /// Reads the code.
    ///
    /// # Errors
    /// Says what a code looks like.
    pub fn parse(code: &str) -> Result<Self, InvalidValue> {
        let letters: Option<[u8; 3]> = code.as_bytes().try_into().ok();
        let upper = letters.filter(|letters| letters.iter().all(u8::is_ascii_uppercase));
        upper.map(Self).ok_or(InvalidValue("currency_code must be three upper-case letters (ISO 4217)"))
    }

    /// The three letters.
    #[must_use]
    pub fn as_str(&self) -> &str {
        std::str::from_utf8(&self.0).expect("upper-case ASCII letters are UTF-8")
    }
}

impl Money {
    /// The highest price of one unit of a SKU.
    pub const HIGHEST_PRICE_UNITS: i64 = 1_000_000_000;
    /// The highest total of an order: beyond it an order is refused with `AMOUNT_TOO_LARGE`, long before an i64 overflows.
    pub const HIGHEST_TOTAL_UNITS: i64 = 1_000_000_000_000;

    /// Reads the price of a SKU: 0 to 10^9 units.
    ///
    /// # Errors
    /// Says what a price looks like.
    pub fn parse_price(message: &MoneyMessage) -> Result<Self, InvalidValue> {
        let currency = Currency::parse(&message.currency_code)?;
        let price = Self::from_parts(currency, message.units, message.nanos)
            .ok_or(InvalidValue("must not be negative, with nanos below 10^9"))?;
        if price.total_nanos() > i128::from(Self::HIGHEST_PRICE_UNITS) * NANOS_PER_UNIT {
            return Err(InvalidValue("must be at most 10^9 units"));
        }
        Ok(price)
    }

    /// An amount of its parts; `None` when it is negative or no amount.
    #[must_use]
    pub fn from_parts(currency: Currency, units: i64, nanos: i32) -> Option<Self> {
        (units >= 0 && (0..1_000_000_000).contains(&nanos)).then_some(Self { currency, units, nanos })
    }

    /// Nothing.
    #[must_use]
    pub fn zero(currency: Currency) -> Self {
        Self { currency, units: 0, nanos: 0 }
    }

    /// The currency.
    #[must_use]
    pub fn currency(&self) -> Currency {
        self.currency
    }

    /// Whole units.
    #[must_use]
    pub fn units(&self) -> i64 {
        self.units
    }

    /// Billionths of a unit beside the whole ones.
    #[must_use]
    pub fn nanos(&self) -> i32 {
        self.nanos
    }

    /// This much and `quantity` times `price`, exactly.
    ///
    /// # Errors
    /// [`AmountTooLarge`] beyond [`Money::HIGHEST_TOTAL_UNITS`].
    ///
    /// # Panics
    /// When the currencies differ: a bug of the caller, who has to refuse that before.
    pub fn plus(self, price: Self, quantity: u32) -> Result<Self, AmountTooLarge> {
        assert_eq!(self.currency, price.currency, "amounts of two currencies are never added");
        let sum = self.total_nanos() + price.total_nanos() * i128::from(quantity);
        if sum > i128::from(Self::HIGHEST_TOTAL_UNITS) * NANOS_PER_UNIT {
            return Err(AmountTooLarge);
        }
        let units = i64::try_from(sum / NANOS_PER_UNIT).map_err(|_| AmountTooLarge)?;
        let nanos = i32::try_from(sum % NANOS_PER_UNIT).map_err(|_| AmountTooLarge)?;
        Ok(Self { currency: self.currency, units, nanos })
    }

    fn total_nanos(self) -> i128 {
        i128::from(self.units) * NANOS_PER_UNIT + i128::from(self.nanos)
    }
}

impl From<Money> for MoneyMessage {
    fn from(money: Money) -> Self {
        Self { currency_code: money.currency.as_str().to_owned(), units: money.units, nanos: money.nanos }
    }
}

#[cfg(test)]
mod properties;

#[cfg(test)]
mod tests {
    use super::*;

    fn eur(units: i64, nanos: i32) -> Money {
        Money::from_parts(Currency::parse("EUR").unwrap(), units, nanos).unwrap()
    }

    #[test]
    fn cents_carry_into_units_exactly() {
        assert_eq!(eur(0, 0).plus(eur(19, 990_000_000), 3), Ok(eur(59, 970_000_000)));
        assert_eq!(eur(0, 999_999_999).plus(eur(0, 1), 1), Ok(eur(1, 0)));
    }

    #[test]
    fn a_total_beyond_the_bound_is_an_error() {
        let price = eur(Money::HIGHEST_PRICE_UNITS, 0);
        assert_eq!(eur(0, 0).plus(price, 1000), Ok(eur(1_000_000_000_000, 0)));
        assert_eq!(eur(0, 1).plus(price, 1000), Err(AmountTooLarge));
        assert_eq!(eur(0, 0).plus(price, 10_000), Err(AmountTooLarge));
    }

    #[test]
    fn prices_are_checked() {
        let message = |code: &str, units, nanos| MoneyMessage { currency_code: code.into(), units, nanos };
        assert!(Money::parse_price(&message("EUR", 0, 0)).is_ok());
        for bad in [
            message("eur", 1, 0),
            message("EURO", 1, 0),
            message("EUR", -1, 0),
            message("EUR", 0, -1),
            message("EUR", 0, 1_000_000_000),
            message("EUR", 1_000_000_000, 1),
        ] {
            assert!(Money::parse_price(&bad).is_err(), "{bad:?}");
        }
    }
}
