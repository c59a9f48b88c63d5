//! Paging of lists ([AIP-158](https://google.aip.dev/158)): sizes and opaque tokens.
//!
//! A token is where the next page begins, by key, so any replica understands it and inserts never shift it. It is encoded
//! so that nobody takes it for something to be made by hand.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tonic_types::FieldViolation;

/// Rows of a page when the caller does not say.
pub const DEFAULT_PAGE_SIZE: i64 = 50;
/// Rows of a page at most; larger sizes mean this one.
pub const MOST_PAGE_SIZE: i64 = 500;

/// What tokens of this version begin with.
const VERSION: &str = "1:";

/// Reads `page_size`.
///
/// # Errors
/// It is negative.
pub fn page_size(given: i32) -> Result<i64, FieldViolation> {
    match i64::from(given) {
        0 => Ok(DEFAULT_PAGE_SIZE),
        size if size < 0 => Err(FieldViolation::new("page_size", "must not be negative; 0 means 50")),
        size => Ok(size.min(MOST_PAGE_SIZE)),
    }
}

/// The token of the page that begins after `key`.
#[must_use]
pub fn encode_token(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(format!("{VERSION}{key}"))
}

/// The key that a page begins after; `None` when the token is not one of ours.
#[must_use]
pub fn decode_token(token: &str) -> Option<String> {
    let text = String::from_utf8(URL_SAFE_NO_PAD.decode(token).ok()?).ok()?;
    text.strip_prefix(VERSION).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_back_as_its_key_and_nothing_else_does() {
        assert_eq!(decode_token(&encode_token("KETTLE-1.7")).as_deref(), Some("KETTLE-1.7"));
        for other in ["KETTLE", "", "====", &URL_SAFE_NO_PAD.encode("2:KETTLE")] {
            assert_eq!(decode_token(other), None, "{other}");
        }
    }

    #[test]
    fn sizes_are_bounded() {
        assert_eq!(page_size(0).unwrap(), 50);
        assert_eq!(page_size(10_000).unwrap(), 500);
        assert!(page_size(-1).is_err());
    }
}
