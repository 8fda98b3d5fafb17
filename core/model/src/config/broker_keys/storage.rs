//! Data directories, and the broker-wide defaults of topic keys.

use crate::config::key::{
    ANY, CLEANUP_POLICIES, COMPRESSION_TYPES, GZIP_LEVELS, LZ4_LEVELS, MIN_SEGMENT_BYTES,
    TIMESTAMP_TYPES, Validator, ZSTD_LEVELS, at_least, config_keys,
};

config_keys! { STORAGE:
    "alter.config.policy.class.name" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that judges changes of configuration.";
    "auto.create.topics.enable" Boolean ["true"] ANY, ReadOnly Honoured
        "Creates a topic when a client asks for one that does not exist.";
    "chronik.journal.bytes" Long ["1073741824"] at_least(0), ReadOnly Honoured
        "Size in bytes of the journal ring of a data directory; 0 chooses by the size of the disk.";
    "compression.gzip.level" Int ["-1"] GZIP_LEVELS, ClusterWide Honoured
        "Effort of gzip where compression.type is gzip; -1 leaves it to the library.";
    "compression.lz4.level" Int ["9"] LZ4_LEVELS, ClusterWide Honoured
        "Effort of lz4 where compression.type is lz4.";
    "compression.type" String ["producer"] Validator::OneOf(COMPRESSION_TYPES), ClusterWide Honoured
        "Codec of stored batches; producer keeps the bytes as they came.";
    "compression.zstd.level" Int ["3"] ZSTD_LEVELS, ClusterWide Honoured
        "Effort of zstd where compression.type is zstd.";
    "create.topic.policy.class.name" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that judges new topics.";
    "delete.topic.enable" Boolean ["true"] ANY, ReadOnly Honoured
        "Allows topics to be deleted.";
    "log.cleaner.backoff.ms" Long ["15000"] at_least(0), ClusterWide Honoured
        "Milliseconds that compaction rests when it finds nothing to do.";
    "log.cleaner.dedupe.buffer.size" Long ["134217728"] ANY, ClusterWide Honoured
        "Memory of compaction's key tables; at most a sixteenth of chronik.memory.bytes is used here.";
    "log.cleaner.delete.retention.ms" Long ["86400000"] at_least(0), ClusterWide Honoured
        "Milliseconds that compacted topics keep tombstones.";
    "log.cleaner.enable" Boolean ["true"] ANY, ReadOnly Honoured
        "Runs compaction.";
    "log.cleaner.io.buffer.load.factor" Double ["0.9"] ANY, ClusterWide AcceptedNoEffect
        "How full compaction's key table may get.";
    "log.cleaner.io.buffer.size" Int ["524288"] at_least(0), ClusterWide AcceptedNoEffect
        "Bytes of compaction's read and write buffers.";
    "log.cleaner.io.max.bytes.per.second" Double ["1.7976931348623157E308"] ANY, ClusterWide Honoured
        "Bytes per second that compaction may read and write together.";
    "log.cleaner.max.compaction.lag.ms" Long ["9223372036854775807"] at_least(1), ClusterWide Honoured
        "Milliseconds after which a record must have been looked at by compaction.";
    "log.cleaner.min.cleanable.ratio" Double ["0.5"] Validator::Fraction { min: 0.0, max: 1.0 }, ClusterWide Honoured
        "Share of a log that must be uncompacted before compaction takes it up.";
    "log.cleaner.min.compaction.lag.ms" Long ["0"] at_least(0), ClusterWide Honoured
        "Milliseconds that a record stays out of compaction's reach.";
    "log.cleaner.threads" Int ["1"] at_least(0), ClusterWide Honoured
        "0 stops compaction; else every shard compacts one log at a time, on the threads that write segments.";
    "log.cleanup.policy" List ["delete"] Validator::ListOf(CLEANUP_POLICIES), ClusterWide Honoured
        "How old records leave topics that do not say so themselves.";
    "log.dir" List ["/tmp/kafka-logs"] ANY, ReadOnly Honoured
        "Data directory where log.dirs is unset.";
    "log.dir.failure.timeout.ms" Long ["30000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds that a broker tries to report a failed directory before it stops.";
    "log.dirs" List [] ANY, ReadOnly Honoured
        "Data directories; log.dir counts when unset.";
    "log.flush.interval.messages" Long ["1"] at_least(1), ClusterWide Honoured
        "Records between two syncs to disk; the default of 1 means that a batch is synced before it is acknowledged, where Kafka leaves syncing to the operating system.";
    "log.flush.interval.ms" Long [] ANY, ClusterWide Honoured
        "Longest time in milliseconds that an accepted batch waits for its sync to disk."
        <- "log.flush.interval.ms" Same, "log.flush.scheduler.interval.ms" Same;
    "log.flush.offset.checkpoint.interval.ms" Int ["60000"] at_least(0), ReadOnly AcceptedNoEffect
        "Milliseconds between two writes of the recovery checkpoint.";
    "log.flush.scheduler.interval.ms" Long ["9223372036854775807"] ANY, ReadOnly Honoured
        "Counts as log.flush.interval.ms where that is unset.";
    "log.flush.start.offset.checkpoint.interval.ms" Int ["60000"] at_least(0), ReadOnly AcceptedNoEffect
        "Milliseconds between two writes of the log start checkpoint.";
    "log.index.interval.bytes" Int ["4096"] at_least(0), ClusterWide Honoured
        "Bytes of records between two entries of the offset index.";
    "log.index.size.max.bytes" Int ["10485760"] at_least(4), ClusterWide AcceptedNoEffect
        "Largest offset index of a segment; indexes grow as needed here.";
    "log.initial.task.delay.ms" Long ["30000"] at_least(0), ReadOnly AcceptedNoEffect
        "Milliseconds after start before upkeep of the logs begins.";
    "log.message.format.version" String ["3.0-IV1"] ANY, ReadOnly AcceptedNoEffect
        "Record format of old brokers; records are always stored in format 2.";
    "log.message.timestamp.after.max.ms" Long ["3600000"] at_least(0), ClusterWide Honoured
        "How far in milliseconds a producer's timestamp may lie ahead of the broker's clock.";
    "log.message.timestamp.before.max.ms" Long ["9223372036854775807"] at_least(0), ClusterWide Honoured
        "How far in milliseconds a producer's timestamp may lie behind the broker's clock.";
    "log.message.timestamp.type" String ["CreateTime"] Validator::OneOf(TIMESTAMP_TYPES), ClusterWide Honoured
        "Whether records carry the producer's time or that of their append.";
    "log.preallocate" Boolean ["false"] ANY, ClusterWide Honoured
        "Reserves the disk space of a segment when it is created.";
    "log.retention.bytes" Long ["-1"] ANY, ClusterWide Honoured
        "Bytes that each partition keeps; negative for no limit.";
    "log.retention.check.interval.ms" Long ["300000"] at_least(1), ReadOnly Honoured
        "Milliseconds between two looks for segments to delete.";
    "log.retention.hours" Int ["168"] ANY, ReadOnly Honoured
        "Hours that records are kept, where neither minutes nor milliseconds are set."
        <- "log.retention.ms" Same, "log.retention.minutes" Same, "log.retention.hours" Same;
    "log.retention.minutes" Int [] ANY, ReadOnly Honoured
        "Minutes that records are kept, where milliseconds are not set."
        <- "log.retention.ms" Same, "log.retention.minutes" Same, "log.retention.hours" Same;
    "log.retention.ms" Long [] ANY, ClusterWide Honoured
        "Milliseconds that records are kept; negative for no limit."
        <- "log.retention.ms" Same, "log.retention.minutes" Same, "log.retention.hours" Same;
    "log.roll.hours" Int ["168"] at_least(1), ReadOnly Honoured
        "Hours after which a segment is closed, where milliseconds are not set."
        <- "log.roll.ms" Same, "log.roll.hours" Same;
    "log.roll.jitter.hours" Int ["0"] at_least(0), ReadOnly Honoured
        "Random hours taken off the age at which segments close, where milliseconds are not set."
        <- "log.roll.jitter.ms" Same, "log.roll.jitter.hours" Same;
    "log.roll.jitter.ms" Long [] ANY, ClusterWide Honoured
        "Random milliseconds taken off the age at which segments close."
        <- "log.roll.jitter.ms" Same, "log.roll.jitter.hours" Same;
    "log.roll.ms" Long [] ANY, ClusterWide Honoured
        "Milliseconds after which a segment is closed even if it is not full."
        <- "log.roll.ms" Same, "log.roll.hours" Same;
    "log.segment.bytes" Int ["1073741824"] at_least(MIN_SEGMENT_BYTES), ClusterWide Honoured
        "Size in bytes at which a segment is closed; accepted from 1 KiB, where Kafka asks for 1 MiB.";
    "log.segment.delete.delay.ms" Long ["60000"] at_least(0), ClusterWide Honoured
        "Milliseconds between dropping a segment from the log and deleting its file.";
    "message.max.bytes" Int ["1048588"] at_least(0), ClusterWide Honoured
        "Largest record batch that is accepted, in bytes as sent.";
    "metadata.log.dir" String [] ANY, ReadOnly Honoured
        "Directory of the metadata log; the first data directory when unset.";
    "metadata.log.max.record.bytes.between.snapshots" Long ["20971520"] at_least(1), ReadOnly Honoured
        "Bytes of metadata records after which a snapshot is taken.";
    "metadata.log.max.snapshot.interval.ms" Long ["3600000"] at_least(0), ReadOnly Honoured
        "Longest time in milliseconds between two metadata snapshots; 0 for none by time.";
    "metadata.log.segment.bytes" Int ["1073741824"] at_least(12), ReadOnly AcceptedNoEffect
        "Size in bytes at which a segment of the metadata log is closed.";
    "metadata.log.segment.ms" Long ["604800000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds after which a segment of the metadata log is closed.";
    "metadata.max.idle.interval.ms" Int ["500"] at_least(0), ReadOnly AcceptedNoEffect
        "Milliseconds between idle records in the metadata log.";
    "metadata.max.retention.bytes" Long ["104857600"] ANY, ReadOnly AcceptedNoEffect
        "Bytes of metadata log and snapshots that are kept.";
    "metadata.max.retention.ms" Long ["604800000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds that old metadata log and snapshots are kept.";
    "num.partitions" Int ["1"] at_least(1), ReadOnly Honoured
        "Partitions of a new topic that does not say how many.";
}
