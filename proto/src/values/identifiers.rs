use std::fmt;

use uuid::Uuid;

use super::InvalidValue;

/// Id of an order: a UUIDv7, so that ids sort by the time of placement. Text form: lower-case, hyphenated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OrderId(Uuid);

impl OrderId {
    /// Reads the text form; no other spelling of the same UUID is taken.
    ///
    /// # Errors
    /// Says what an order id looks like.
    pub fn parse(text: &str) -> Result<Self, InvalidValue> {
        let canonical = |id: &Uuid| id.hyphenated().encode_lower(&mut Uuid::encode_buffer()) == text;
        let parsed = Uuid::try_parse(text).ok().filter(canonical);
        parsed.map(Self).ok_or(InvalidValue("must be a UUID in lower-case hyphenated form"))
    }

    /// From the database, which holds nothing that was not parsed.
    #[must_use]
    pub fn from_uuid(id: Uuid) -> Self {
        Self(id)
    }

    /// For the database.
    #[must_use]
    pub fn uuid(self) -> Uuid {
        self.0
    }
}

impl fmt::Display for OrderId {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.hyphenated().fmt(formatter)
    }
}

/// Text with a closed alphabet and a longest length, in a type of its own.
macro_rules! identifier {
    ($(#[$about:meta])* $name:ident, $longest:literal, $allowed:expr, $rule:literal) => {
        $(#[$about])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// Reads the field.
            ///
            /// # Errors
            /// Says what the field has to look like.
            pub fn parse(text: &str) -> Result<Self, InvalidValue> {
                let allowed: fn(u8) -> bool = $allowed;
                if text.is_empty() || text.len() > $longest || !text.bytes().all(allowed) {
                    return Err(InvalidValue($rule));
                }
                Ok(Self(text.to_owned()))
            }

            /// From the database, which holds nothing that was not parsed.
            #[must_use]
            pub fn from_stored(text: String) -> Self {
                Self(text)
            }

            /// As it was given.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(formatter)
            }
        }
    };
}

identifier!(
    /// Stock keeping unit: what is sold.
    Sku,
    64,
    |byte| byte.is_ascii_alphanumeric() || b"._-".contains(&byte),
    "must be 1 to 64 characters of A-Z a-z 0-9 . _ -"
);
identifier!(
    /// Who orders.
    CustomerId,
    64,
    |byte| byte.is_ascii_alphanumeric() || b"._:@-".contains(&byte),
    "must be 1 to 64 characters of A-Z a-z 0-9 . _ : @ -"
);
identifier!(
    /// Idempotency key of a placement, unique per customer.
    RequestId,
    64,
    |byte| (b' '..=b'~').contains(&byte),
    "must be at most 64 printable ASCII characters"
);
identifier!(
    /// Names one import, so that its rows are applied once.
    ImportId,
    64,
    |byte| (b' '..=b'~').contains(&byte),
    "must be 1 to 64 printable ASCII characters"
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_order_id_has_one_spelling() {
        let text = "0190e1b2-7c3d-7e4f-8a5b-6c7d8e9f0a1b";
        assert_eq!(OrderId::parse(text).unwrap().to_string(), text);
        for other in [text.to_uppercase(), text.replace('-', ""), format!("{{{text}}}"), String::new()] {
            assert!(OrderId::parse(&other).is_err(), "{other}");
        }
    }

    #[test]
    fn a_sku_is_short_and_plain() {
        assert!(Sku::parse("KETTLE-1.7L_steel").is_ok());
        for bad in ["", "a b", "ä", "a\0", "x/y", &"x".repeat(65)] {
            assert!(Sku::parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_request_id_takes_spaces_but_no_control_characters() {
        assert!(RequestId::parse("cart 17~").is_ok());
        assert!(RequestId::parse("a\nb").is_err());
    }
}
