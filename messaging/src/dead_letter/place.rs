//! Where records lie, as people write it.

use std::fmt;
use std::str::FromStr;

/// Where a record lies. As text `topic/partition@offset`, which is also how people name a dead letter.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Place {
    /// The topic.
    pub topic: String,
    /// The partition.
    pub partition: i32,
    /// The offset in the partition.
    pub offset: i64,
}

/// A text names no place.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected topic/partition@offset, such as orders.v1.dlq/4@17")]
pub struct NoPlace;

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}@{}", self.topic, self.partition, self.offset)
    }
}

impl FromStr for Place {
    type Err = NoPlace;

    fn from_str(text: &str) -> Result<Self, NoPlace> {
        let (topic, position) = text.rsplit_once('/').ok_or(NoPlace)?;
        let (partition, offset) = position.split_once('@').ok_or(NoPlace)?;
        let partition: i32 = partition.parse().map_err(|_| NoPlace)?;
        let offset: i64 = offset.parse().map_err(|_| NoPlace)?;
        if topic.is_empty() || partition < 0 || offset < 0 {
            return Err(NoPlace);
        }
        Ok(Self { topic: topic.to_owned(), partition, offset })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_read_as_they_are_written() {
        let place = Place { topic: "orders.v1.dlq".to_owned(), partition: 4, offset: 17 };
        assert_eq!(place.to_string(), "orders.v1.dlq/4@17");
        assert_eq!(place.to_string().parse(), Ok(place));
        for wrong in ["", "orders.v1.dlq", "orders.v1.dlq/4", "/4@17", "a/-1@0", "a/0@-1", "a/x@1", "a/1@", "a@1/2"] {
            assert_eq!(wrong.parse::<Place>(), Err(NoPlace), "{wrong}");
        }
    }
}
