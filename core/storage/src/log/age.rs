//! How old what a consumer reads next is.

use chronik_model::Offset;
use chronik_model::batch::BatchHeader;

use super::PartitionLog;
use super::segment::{Segment, TailBatch};

impl PartitionLog {
    /// A time in ms that the record at `offset`, or the next one there is, is not younger than.
    /// Nothing is read from disk for it. In memory it is the largest timestamp of the record's batch.
    /// In a segment it is the largest timestamp before the next index entry, and where the index is
    /// not in memory (it is loaded when somebody reads the segment) that of the whole segment.
    ///
    /// `None` at the end of the log, and where no batch has a timestamp.
    #[must_use]
    pub fn time_bound(&self, offset: Offset) -> Option<i64> {
        let offset = offset.max(self.log_start);
        if offset >= self.log_end {
            return None;
        }
        let time = if offset >= self.tail_start() {
            let ends_before = |batch: &TailBatch| batch.last_offset < offset;
            let batch = self.tail.get(self.tail.partition_point(ends_before));
            // What is not in the tail either is in flight.
            let header = batch.and_then(|batch| BatchHeader::parse(&batch.bytes).ok());
            header.map_or_else(|| self.last_timestamp_ms(), |it| it.max_timestamp())
        } else {
            self.segment_of(offset)
                .map_or(NO_TIME, |segment| segment_bound(segment, offset))
        };
        (time >= 0).then_some(time)
    }
}

fn segment_bound(segment: &Segment, offset: Offset) -> i64 {
    let known = segment.index.time_behind(offset);
    known.map_or(segment.max_timestamp_ms, |known| {
        known.min(segment.max_timestamp_ms)
    })
}

const NO_TIME: i64 = -1;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log::LogConfig;
    use crate::log::partition_log::NewBatch;
    use bytes::Bytes;
    use chronik_model::batch::{BatchBuilder, BatchSpec};
    use chronik_model::{LeaderEpoch, LogId, PartitionIndex, TopicId, TopicPartition};

    /// Segments of 40,000 bytes, batches of two records and some 5,000 bytes, a second apart.
    fn log(batches: i64, in_memory_from: i64) -> PartitionLog {
        let config = LogConfig {
            segment_bytes: 40_000,
            segment_ms: i64::MAX,
            retention_ms: None,
            retention_bytes: None,
            flush_messages: 1,
            flush_ms: None,
            index_interval_bytes: 4096,
            cleanup_delete: true,
            compact: None,
        };
        let partition = TopicPartition {
            topic_id: TopicId([1; 16]),
            partition: PartitionIndex(0),
        };
        let mut log = PartitionLog::new(LogId(1), partition, "t".into(), config);
        for index in 0..batches {
            let mut builder = BatchBuilder::new(BatchSpec::default());
            for half in [0, 400] {
                let value = vec![b'x'; 2500];
                let time = index * 1000 + half;
                builder.append(time, None, Some(&value), &[]).unwrap();
            }
            let bytes = Bytes::from(builder.finish().unwrap());
            let header = BatchHeader::parse(&bytes).unwrap();
            let placement = log.place(&NewBatch {
                header: &header,
                base_offset: Offset(index * 2),
                leader_epoch: LeaderEpoch(0),
                max_timestamp_ms: header.max_timestamp(),
            });
            if index >= in_memory_from {
                log.attach(placement, bytes);
            }
        }
        log
    }

    #[test]
    fn nothing_is_said_to_be_older_than_it_is() {
        let check = |mut log: PartitionLog, forgotten: bool, offset: i64, expected| {
            if forgotten {
                for segment in &mut log.segments {
                    segment.index = crate::log::index::SegmentIndex::default();
                }
            }
            assert_eq!(log.time_bound(Offset(offset)), expected, "{offset}");
        };
        // From memory: the batch's own.
        check(log(20, 10), false, 20, Some(10_400));
        check(log(20, 10), false, 39, Some(19_400));
        check(log(20, 10), false, 40, None);
        // From the index: every batch has an entry behind it but the last of the segment.
        check(log(20, 10), false, 0, Some(400));
        check(log(20, 10), false, 3, Some(1_400));
        // From the segment: its newest batch.
        check(log(20, 10), true, 0, Some(6_400));
        check(log(20, 10), true, 14, Some(13_400));
        // In flight: the newest.
        check(log(20, 20), true, 38, Some(19_400));
    }

    #[test]
    fn what_was_deleted_counts_as_the_first_record_kept() {
        let mut log = log(20, 10);
        log.log_start = Offset(4);
        assert_eq!(log.time_bound(Offset(0)), log.time_bound(Offset(4)));
        assert_eq!(log.time_bound(Offset(0)), Some(2_400));
    }
}
