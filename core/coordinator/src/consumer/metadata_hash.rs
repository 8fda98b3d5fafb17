//! The hash by which a group sees that its topics changed (KIP-1101), as Kafka 4.3 computes it.
//!
//! A topic's hash is XXH3 over: a byte 0, both halves of the id, the name as UTF-16 and its length,
//! the number of partitions, and each partition's index; numbers are little-endian. The group's is
//! XXH3 over those of its topics, in the order of names. Racks would follow each index; none are
//! known here.

use twox_hash::XxHash3_64;

use crate::topics::{TopicInfo, Topics};

/// Says which way of hashing this is.
const MAGIC: u8 = 0;

/// The hash over those of `names` that exist; 0 without any.
pub(crate) fn metadata_hash<'a>(names: impl Iterator<Item = &'a str>, topics: &dyn Topics) -> i64 {
    let mut hashes = Vec::new();
    for topic in names.filter_map(|name| topics.by_name(name)) {
        hashes.extend(topic_hash(topic).to_le_bytes());
    }
    if hashes.is_empty() {
        return 0;
    }
    XxHash3_64::oneshot(&hashes).cast_signed()
}

fn topic_hash(topic: TopicInfo<'_>) -> u64 {
    let id = u128::from_be_bytes(topic.id.0);
    let mut bytes = vec![MAGIC];
    // Each half little-endian, the upper one first.
    bytes.extend(id.rotate_left(64).to_le_bytes());
    let mut units: i32 = 0;
    for unit in topic.name.encode_utf16() {
        bytes.extend(unit.to_le_bytes());
        units += 1;
    }
    bytes.extend(units.to_le_bytes());
    bytes.extend(topic.partitions.to_le_bytes());
    for partition in 0..topic.partitions {
        bytes.extend(partition.to_le_bytes());
    }
    XxHash3_64::oneshot(&bytes)
}

#[cfg(test)]
mod tests {
    use chronik_model::TopicId;

    use super::{metadata_hash, topic_hash};
    use crate::topics::{NoTopics, TopicInfo, Topics};

    const ORDERS: TopicInfo<'_> = TopicInfo {
        name: "orders",
        id: TopicId([
            1, 2, 3, 4, 5, 6, 7, 8, 0x11, 0x12, 0x13, 0x14, 0x15, 0x16, 0x17, 0x18,
        ]),
        partitions: 3,
    };

    const LONG: TopicInfo<'_> = TopicInfo {
        name: "a-much.longer_topic-name-to-cross-240-bytes",
        id: TopicId([
            255, 255, 255, 255, 255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 5,
        ]),
        partitions: 100,
    };

    struct Both;

    impl Topics for Both {
        fn by_name(&self, name: &str) -> Option<TopicInfo<'_>> {
            [ORDERS, LONG].into_iter().find(|topic| topic.name == name)
        }

        fn by_id(&self, _id: TopicId) -> Option<TopicInfo<'_>> {
            None
        }

        fn for_each(&self, _each: &mut dyn FnMut(TopicInfo<'_>)) {}

        fn version(&self) -> i64 {
            1
        }
    }

    /// Values that hash4j 0.22, which Kafka uses, gave.
    #[test]
    fn hashes_are_kafkas() {
        assert_eq!(topic_hash(ORDERS).cast_signed(), -3_967_608_492_204_731_963);
        assert_eq!(topic_hash(LONG).cast_signed(), 6_906_654_884_265_400_256);
        let names = [
            "a-much.longer_topic-name-to-cross-240-bytes",
            "gone",
            "orders",
        ];
        let hash = metadata_hash(names.into_iter(), &Both);
        assert_eq!(hash, 1_932_700_516_668_850_843);
        assert_eq!(metadata_hash(names.into_iter(), &NoTopics), 0);
    }
}
