//! Spans of time as people write them. A bare number is refused: whether it meant seconds or milliseconds is the kind
//! of guess that turns a time-out of 5 s into one of 83 min.

use std::time::Duration;

/// Why a text is not a span of time. The text itself is quoted by whoever reports it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a span of time: write a whole number and its unit (ms, s, m or h), as in 250ms, 20s or 2m")]
pub struct DurationError;

/// Reads `250ms`, `20s`, `2m` or `1h`: a whole number and one unit.
///
/// # Errors
/// When the number, the unit or the range is wrong.
pub fn parse_duration(text: &str) -> Result<Duration, DurationError> {
    let digits = text.find(|character: char| !character.is_ascii_digit()).ok_or(DurationError)?;
    let (number, unit) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| DurationError)?;
    let milliseconds_per_unit = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err(DurationError),
    };
    number.checked_mul(milliseconds_per_unit).map(Duration::from_millis).ok_or(DurationError)
}
