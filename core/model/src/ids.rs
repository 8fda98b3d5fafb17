//! Identities, each its own type so that one cannot be passed for another.

use std::borrow::Borrow;
use std::fmt;
use std::sync::Arc;

/// Broker id, Kafka's `node.id`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct NodeId(pub i32);

/// One life of one broker process: the metadata offset of its registration (KIP-631).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct BrokerEpoch(pub i64);

/// Index of a partition in its topic, from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PartitionIndex(pub i32);

/// Counts leaders of one partition (KIP-101, KIP-320).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LeaderEpoch(pub i32);

impl LeaderEpoch {
    /// "Not known": what clients send that do not track epochs.
    pub const NONE: Self = Self(-1);
}

/// One log in one data directory; never reused there, so that a deleted topic's bytes can not be
/// taken for those of its successor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LogId(pub u64);

impl LogId {
    /// The metadata log of the directory.
    pub const METADATA: Self = Self(0);
}

/// Idempotent or transactional producer (KIP-98).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerId(pub i64);

impl ProducerId {
    /// A batch without a producer id.
    pub const NONE: Self = Self(-1);
}

/// One life of a producer id (KIP-360).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProducerEpoch(pub i16);

/// A topic's identity across renames of its successor: deleted and re-created topics differ (KIP-516).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct TopicId(pub [u8; 16]);

impl TopicId {
    /// "No id": requests that name topics by name.
    pub const ZERO: Self = Self([0; 16]);
}

impl fmt::Display for TopicId {
    /// Kafka's form: 22 characters of URL-safe base64 without padding.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&base64_url(&self.0))
    }
}

/// URL-safe base64 without padding, the form of Kafka's `Uuid.toString`.
#[must_use]
pub fn base64_url(bytes: &[u8]) -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut out = String::with_capacity(bytes.len().div_ceil(3) * 4);
    for chunk in bytes.chunks(3) {
        let word = chunk
            .iter()
            .fold(0u32, |word, byte| (word << 8) | u32::from(*byte));
        let word = word << (8 * (3 - chunk.len()));
        for position in 0..=chunk.len() {
            let index = (word >> (18 - 6 * position)) & 63;
            let symbol = usize::try_from(index)
                .ok()
                .and_then(|index| ALPHABET.get(index));
            out.push(char::from(symbol.copied().unwrap_or(b'A')));
        }
    }
    out
}

/// Reads the 22 characters that [`base64_url`] makes of sixteen bytes.
#[must_use]
pub fn base_url_decode_16(text: &str) -> Option<[u8; 16]> {
    let digit = |symbol: u8| match symbol {
        b'A'..=b'Z' => Some(symbol - b'A'),
        b'a'..=b'z' => Some(symbol - b'a' + 26),
        b'0'..=b'9' => Some(symbol - b'0' + 52),
        b'-' => Some(62),
        b'_' => Some(63),
        _ => None,
    };
    if text.len() != 22 {
        return None;
    }
    let mut bits: u128 = 0;
    for (index, symbol) in text.bytes().enumerate() {
        let value = u128::from(digit(symbol)?);
        // 21 digits carry 126 bits; the last digit's low four bits are padding.
        bits = if index < 21 {
            (bits << 6) | value
        } else {
            (bits << 2) | (value >> 4)
        };
    }
    Some(bits.to_be_bytes())
}

/// A topic name that obeys Kafka's rules; cheap to clone.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicName(Arc<str>);

/// Why a string is no topic name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TopicNameError {
    /// Empty string.
    #[error("the topic name is empty")]
    Empty,
    /// `.` and `..` would be directories.
    #[error("the topic name can not be \".\" or \"..\"")]
    Dots,
    /// More than [`TopicName::MAX_BYTES`].
    #[error("the topic name is longer than {} characters", TopicName::MAX_BYTES)]
    TooLong,
    /// A character outside the legal set.
    #[error("the topic name has a character other than ASCII letters, digits, '.', '_' and '-'")]
    IllegalCharacter,
}

impl TopicName {
    /// Kafka's limit (`Topic.MAX_NAME_LENGTH`).
    pub const MAX_BYTES: usize = 249;

    /// Checks Kafka's rules for topic names.
    ///
    /// # Errors
    /// The rule that `name` breaks.
    pub fn new(name: &str) -> Result<Self, TopicNameError> {
        if name.is_empty() {
            return Err(TopicNameError::Empty);
        }
        if name == "." || name == ".." {
            return Err(TopicNameError::Dots);
        }
        if name.len() > Self::MAX_BYTES {
            return Err(TopicNameError::TooLong);
        }
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        if !name.chars().all(legal) {
            return Err(TopicNameError::IllegalCharacter);
        }
        Ok(Self(name.into()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Topics that Kafka itself owns and marks internal.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        matches!(
            &*self.0,
            "__consumer_offsets" | "__transaction_state" | "__share_group_state"
        )
    }
}

impl Borrow<str> for TopicName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for TopicName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", &*self.0)
    }
}

/// One partition by identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TopicPartition {
    /// The topic.
    pub topic_id: TopicId,
    /// The partition of that topic.
    pub partition: PartitionIndex,
}

#[cfg(test)]
mod tests {
    use super::{TopicId, TopicName, TopicNameError};

    #[test]
    fn topic_ids_print_as_kafka_prints_them() {
        assert_eq!(TopicId::ZERO.to_string(), "AAAAAAAAAAAAAAAAAAAAAA");
        let id = TopicId([0xFF; 16]);
        assert_eq!(id.to_string(), "_____________________w");
        let id = TopicId(*b"0123456789abcdef");
        assert_eq!(super::base_url_decode_16(&id.to_string()), Some(id.0));
        assert_eq!(super::base_url_decode_16("too short"), None);
    }

    #[test]
    fn topic_names_follow_kafkas_rules() {
        let check = |name: &str, expected: Option<TopicNameError>| {
            assert_eq!(TopicName::new(name).err(), expected, "{name:?}");
        };
        check("a", None);
        check("A.b_c-9", None);
        check(&"x".repeat(249), None);
        check("", Some(TopicNameError::Empty));
        check(".", Some(TopicNameError::Dots));
        check("..", Some(TopicNameError::Dots));
        check(&"x".repeat(250), Some(TopicNameError::TooLong));
        check("a/b", Some(TopicNameError::IllegalCharacter));
        check("\u{fc}", Some(TopicNameError::IllegalCharacter));
    }
}
