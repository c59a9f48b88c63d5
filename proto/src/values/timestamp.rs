use prost_types::Timestamp;
use time::OffsetDateTime;

/// A moment as the contract sends it.
#[must_use]
pub fn timestamp(moment: OffsetDateTime) -> Timestamp {
    Timestamp {
        seconds: moment.unix_timestamp(),
        nanos: i32::try_from(moment.nanosecond()).expect("a second has fewer than 2^31 nanoseconds"),
    }
}

/// A moment that the contract sent; `None` when it is none.
#[must_use]
pub fn from_timestamp(moment: &Timestamp) -> Option<OffsetDateTime> {
    let nanos = u32::try_from(moment.nanos).ok().filter(|nanos| *nanos < 1_000_000_000)?;
    OffsetDateTime::from_unix_timestamp(moment.seconds).ok()?.replace_nanosecond(nanos).ok()
}
