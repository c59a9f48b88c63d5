//! Headers of a record as bytes in one column: names and values may repeat, and values need not be text or be there.

use prost::Message as _;

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderList {
    #[prost(message, repeated, tag = "1")]
    headers: Vec<HeaderEntry>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct HeaderEntry {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(bytes = "vec", optional, tag = "2")]
    value: Option<Vec<u8>>,
}

/// Headers in order, values optional as in Kafka.
pub(crate) type HeaderPairs = Vec<(String, Option<Vec<u8>>)>;

pub(crate) fn encode(pairs: &HeaderPairs) -> Vec<u8> {
    let headers = pairs.iter().map(|(name, value)| HeaderEntry { name: name.clone(), value: value.clone() }).collect();
    HeaderList { headers }.encode_to_vec()
}

pub(crate) fn decode(bytes: &[u8]) -> Result<HeaderPairs, prost::DecodeError> {
    let list = HeaderList::decode(bytes)?;
    Ok(list.headers.into_iter().map(|header| (header.name, header.value)).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn repeated_missing_and_binary_values_come_back_as_they_were() {
        let pairs =
            vec![("a".to_owned(), Some(vec![0, 255])), ("a".to_owned(), None), (String::new(), Some(Vec::new()))];
        assert_eq!(decode(&encode(&pairs)).unwrap(), pairs);
    }
}
