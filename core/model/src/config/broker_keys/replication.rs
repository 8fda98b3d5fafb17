//! Replicas, leaders and quotas.

use crate::config::key::{ANY, at_least, config_keys};

config_keys! { REPLICATION:
    "auto.leader.rebalance.enable" Boolean ["true"] ANY, ReadOnly Honoured
        "Moves leadership back to the preferred replicas from time to time.";
    "default.replication.factor" Int ["1"] at_least(1), ReadOnly Honoured
        "Replicas of a new topic that does not say how many.";
    "fetch.max.bytes" Int ["57671680"] at_least(1024), ReadOnly Honoured
        "Largest answer to a fetch in bytes, whatever the client asks for.";
    "follower.replication.throttled.rate" Long ["9223372036854775807"] at_least(0), ClusterWide Honoured
        "Bytes per second that throttled replicas fetch together.";
    "leader.imbalance.check.interval.seconds" Long ["300"] at_least(1), ReadOnly Honoured
        "Seconds between two looks for leaders that are not the preferred replica.";
    "leader.imbalance.per.broker.percentage" Int ["10"] ANY, ReadOnly AcceptedNoEffect
        "Share of displaced leaders that ZooKeeper-era controllers put up with.";
    "leader.replication.throttled.rate" Long ["9223372036854775807"] at_least(0), ClusterWide Honoured
        "Bytes per second that throttled replicas are served together.";
    "max.incremental.fetch.session.cache.slots" Int ["1000"] at_least(0), ReadOnly Honoured
        "Incremental fetch sessions that the broker remembers (KIP-227).";
    "max.request.partition.size.limit" Int ["2000"] at_least(1), ReadOnly Honoured
        "Partitions in one answer to DescribeTopicPartitions (KIP-966).";
    "min.insync.replicas" Int ["1"] at_least(1), ClusterWide Honoured
        "Replicas in sync that an append with acks=all asks for.";
    "num.replica.fetchers" Int ["1"] ANY, ClusterWide AcceptedNoEffect
        "Threads that fetch from each leader; the shards fetch here.";
    "quota.window.num" Int ["11"] at_least(1), ReadOnly AcceptedNoEffect
        "Windows over which client quotas are measured.";
    "quota.window.size.seconds" Int ["1"] at_least(1), ReadOnly AcceptedNoEffect
        "Seconds in one window of client quotas.";
    "replica.alter.log.dirs.io.max.bytes.per.second" Long ["9223372036854775807"] at_least(0), ClusterWide AcceptedNoEffect
        "Bytes per second when replicas move between data directories.";
    "replica.fetch.backoff.ms" Int ["1000"] at_least(0), ReadOnly Honoured
        "Milliseconds before a replica fetches again after an error.";
    "replica.fetch.max.bytes" Int ["1048576"] at_least(0), ReadOnly Honoured
        "Bytes of one partition that a replica asks for at once; a larger first batch still comes.";
    "replica.fetch.min.bytes" Int ["1"] ANY, ReadOnly Honoured
        "Bytes that a leader waits for before it answers a replica.";
    "replica.fetch.response.max.bytes" Int ["10485760"] at_least(0), ReadOnly Honoured
        "Bytes of all partitions that a replica asks for at once.";
    "replica.fetch.wait.max.ms" Int ["500"] ANY, ReadOnly Honoured
        "Milliseconds that a leader may keep a replica waiting for new records.";
    "replica.high.watermark.checkpoint.interval.ms" Long ["5000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds between two writes of the high watermark checkpoint.";
    "replica.lag.time.max.ms" Long ["30000"] ANY, ReadOnly Honoured
        "Milliseconds that a replica may lag before it leaves the set in sync.";
    "replica.selector.class" String [] ANY, ReadOnly Honoured
        "Where consumers read: the rack-aware selector lets them read from a replica in their rack.";
    "replica.socket.receive.buffer.bytes" Int ["65536"] ANY, ReadOnly AcceptedNoEffect
        "Receive buffer of replication sockets in bytes.";
    "replica.socket.timeout.ms" Int ["30000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds that a replication request may take.";
    "replication.quota.window.num" Int ["11"] at_least(1), ReadOnly AcceptedNoEffect
        "Windows over which replication quotas are measured.";
    "replication.quota.window.size.seconds" Int ["1"] at_least(1), ReadOnly AcceptedNoEffect
        "Seconds in one window of replication quotas.";
    "unclean.leader.election.enable" Boolean ["false"] ANY, ClusterWide Honoured
        "Lets a replica that is not in sync lead when no other is left, at the price of lost records.";
    "unclean.leader.election.interval.ms" Long ["300000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds between two looks for partitions that need an unclean leader.";
}
