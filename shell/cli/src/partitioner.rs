//! Which partition a record goes to: the key's hash as the Java client computes it, turns for
//! records without a key.

use chronik_model::PartitionIndex;
use chronik_model::batch::partition_for_key;

/// Chooses partitions of one topic.
#[derive(Debug)]
pub(crate) struct Partitioner {
    partition_count: i32,
    keyless: i32,
}

impl Partitioner {
    /// For a topic with `partition_count` partitions, at least one; `seed` picks where keyless
    /// records start, so that short runs do not all write to the first partition.
    pub(crate) fn new(partition_count: i32, seed: i32) -> Self {
        let partition_count = partition_count.max(1);
        Self {
            partition_count,
            keyless: seed.rem_euclid(partition_count),
        }
    }

    /// The partition of the next record.
    pub(crate) fn choose(&self, key: Option<&[u8]>) -> PartitionIndex {
        key.and_then(|key| partition_for_key(key, self.partition_count))
            .unwrap_or(PartitionIndex(self.keyless))
    }

    /// Keyless records stay with a partition until their batch is sent: fuller batches (KIP-480).
    pub(crate) fn batch_sent(&mut self) {
        self.keyless = (self.keyless + 1) % self.partition_count;
    }
}

#[cfg(test)]
mod tests {
    use super::Partitioner;
    use chronik_model::PartitionIndex;

    #[test]
    fn keys_choose_as_in_the_java_client() {
        // From the values that `Utils.murmur2` of kafka-clients returns.
        let check = |key: &str, hash: i32| {
            let expected = PartitionIndex((hash & i32::MAX) % 12);
            assert_eq!(
                Partitioner::new(12, 0).choose(Some(key.as_bytes())),
                expected,
                "{key:?}"
            );
        };
        check("", 275_646_681);
        check("21", -973_932_308);
        check("foobar", -790_332_482);
    }

    #[test]
    fn a_key_always_has_the_same_partition() {
        let mut partitioner = Partitioner::new(7, 3);
        let first = partitioner.choose(Some(b"key"));
        partitioner.batch_sent();
        assert_eq!(partitioner.choose(Some(b"key")), first);
    }

    #[test]
    fn keyless_records_move_on_with_each_batch() {
        let mut partitioner = Partitioner::new(3, 5);
        let mut chosen = Vec::new();
        for _ in 0..4 {
            chosen.push(partitioner.choose(None));
            chosen.push(partitioner.choose(None));
            partitioner.batch_sent();
        }
        assert_eq!(chosen, [2, 2, 0, 0, 1, 1, 2, 2].map(PartitionIndex));
    }
}
