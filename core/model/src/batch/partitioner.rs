//! Which partition a key belongs to, as Kafka's clients decide it.

use crate::PartitionIndex;

/// The partition of `key` among `partition_count`, by Kafka's default partitioner; `None` when the
/// count is not positive.
#[must_use]
pub fn partition_for_key(key: &[u8], partition_count: i32) -> Option<PartitionIndex> {
    let positive = murmur2(key) & i32::MAX;
    if partition_count > 0 {
        Some(PartitionIndex(positive % partition_count))
    } else {
        None
    }
}

/// `MurmurHash2` of 32 bits with the seed of Kafka's clients.
#[must_use]
pub fn murmur2(bytes: &[u8]) -> i32 {
    // The algorithm is defined for lengths of 32 bits.
    let length = u32::try_from(bytes.len() & 0xFFFF_FFFF).unwrap_or(u32::MAX);
    let (words, tail) = bytes.as_chunks::<4>();
    let mut hash = SEED ^ length;
    for word in words {
        let mut mixed = u32::from_le_bytes(*word).wrapping_mul(MULTIPLIER);
        mixed ^= mixed >> ROTATION;
        hash = hash.wrapping_mul(MULTIPLIER) ^ mixed.wrapping_mul(MULTIPLIER);
    }
    if !tail.is_empty() {
        let last = tail
            .iter()
            .rev()
            .fold(0, |word, byte| (word << 8) | u32::from(*byte));
        hash = (hash ^ last).wrapping_mul(MULTIPLIER);
    }
    hash ^= hash >> 13;
    hash = hash.wrapping_mul(MULTIPLIER);
    hash ^= hash >> 15;
    hash.cast_signed()
}

const SEED: u32 = 0x9747_B28C;
const MULTIPLIER: u32 = 0x5BD1_E995;
const ROTATION: u32 = 24;

#[cfg(test)]
mod tests {
    use super::{PartitionIndex, murmur2, partition_for_key};

    #[test]
    fn hashes_equal_those_of_kafkas_clients() {
        let check = |key: &str, expected| assert_eq!(murmur2(key.as_bytes()), expected, "{key}");
        check("21", -973_932_308);
        check("foobar", -790_332_482);
        check("a-little-bit-long-string", -985_981_536);
        check("a-little-bit-longer-string", -1_486_304_829);
        check(
            "lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8",
            -58_897_971,
        );
        check("abc", 479_470_107);
    }

    #[test]
    fn negative_hashes_are_masked_not_negated() {
        assert_eq!(
            partition_for_key(b"21", 10),
            Some(PartitionIndex(1_173_551_340 % 10))
        );
        assert_eq!(partition_for_key(b"abc", 1_000), Some(PartitionIndex(107)));
        assert_eq!(partition_for_key(b"abc", 0), None);
        assert_eq!(partition_for_key(b"abc", -1), None);
    }
}
