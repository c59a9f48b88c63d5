//! The header `grpc-timeout` ([gRPC over HTTP/2](https://github.com/grpc/grpc/blob/master/doc/PROTOCOL-HTTP2.md)): at
//! most eight digits and a unit.

use std::time::Duration;

use http::{HeaderMap, HeaderName, HeaderValue};

/// No text, which would be parsed for each look.
static GRPC_TIMEOUT: HeaderName = HeaderName::from_static("grpc-timeout");
const MAX_DIGITS: usize = 8;
const SECONDS_PER_MINUTE: u64 = 60;
const SECONDS_PER_HOUR: u64 = 3_600;
const MAX_VALUE: u128 = 99_999_999;

/// The time that a caller gives. A header that can't be read counts as none, as in tonic and grpc-java: the default
/// deadline then still bounds the call, and refusing it would help nobody.
pub(crate) fn read(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get(&GRPC_TIMEOUT)?.to_str().ok()?;
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let is_number = (1..=MAX_DIGITS).contains(&digits.len()) && digits.bytes().all(|byte| byte.is_ascii_digit());
    let value: u64 = is_number.then(|| digits.parse().ok())??;
    match unit {
        "H" => Some(Duration::from_secs(value * SECONDS_PER_HOUR)),
        "M" => Some(Duration::from_secs(value * SECONDS_PER_MINUTE)),
        "S" => Some(Duration::from_secs(value)),
        "m" => Some(Duration::from_millis(value)),
        "u" => Some(Duration::from_micros(value)),
        "n" => Some(Duration::from_nanos(value)),
        _ => None,
    }
}

/// Gives a call `time`, in the finest unit that has room for it.
pub(crate) fn write(time: Duration, headers: &mut HeaderMap) {
    let units =
        [("n", time.as_nanos()), ("u", time.as_micros()), ("m", time.as_millis()), ("S", u128::from(time.as_secs()))];
    let fitting = units.into_iter().find(|(_, value)| *value <= MAX_VALUE);
    let (unit, value) = fitting.unwrap_or(("S", MAX_VALUE));
    let value = HeaderValue::try_from(format!("{value}{unit}")).expect("digits and a letter are a header value");
    headers.insert(&GRPC_TIMEOUT, value);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(text: &'static str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert(&GRPC_TIMEOUT, HeaderValue::from_static(text));
        read(&headers)
    }

    #[test]
    fn every_unit_is_read() {
        assert_eq!(parsed("2H"), Some(Duration::from_secs(7_200)));
        assert_eq!(parsed("2M"), Some(Duration::from_secs(120)));
        assert_eq!(parsed("2S"), Some(Duration::from_secs(2)));
        assert_eq!(parsed("2m"), Some(Duration::from_millis(2)));
        assert_eq!(parsed("2u"), Some(Duration::from_micros(2)));
        assert_eq!(parsed("99999999n"), Some(Duration::from_nanos(99_999_999)));
    }

    #[test]
    fn malformed_timeout_is_none() {
        for text in ["", "S", "5", "5s", "-5S", "+5S", "1.5S", " 5S", "999999999S", "5SS"] {
            assert_eq!(parsed(text), None, "{text}");
        }
    }

    #[test]
    fn written_timeout_is_read_back() {
        for time in [Duration::ZERO, Duration::from_millis(7), Duration::from_secs(5), Duration::from_hours(24)] {
            let mut headers = HeaderMap::new();
            write(time, &mut headers);
            assert_eq!(read(&headers), Some(time));
        }
    }
}
