//! Groups, offsets, transactions and producers.

use crate::config::key::{ANY, Validator, at_least, between, config_keys};

const REBALANCE_PROTOCOLS: &[&str] = &["classic", "consumer", "share", "streams"];
const MIGRATION_POLICIES: &[&str] = &["bidirectional", "disabled", "downgrade", "upgrade"];

config_keys! { GROUPS:
    "group.consumer.assignors" List ["uniform,range"] ANY, ReadOnly Honoured
        "Assignors that the broker offers to groups of the new protocol, the default first (KIP-848).";
    "group.consumer.heartbeat.interval.ms" Int ["5000"] at_least(1), ReadOnly Honoured
        "Milliseconds between heartbeats that members of the new protocol are told to keep.";
    "group.consumer.max.heartbeat.interval.ms" Int ["15000"] at_least(1), ReadOnly Honoured
        "Largest heartbeat interval that a group may set for itself, in milliseconds.";
    "group.consumer.max.session.timeout.ms" Int ["60000"] at_least(1), ReadOnly Honoured
        "Largest session timeout that a group may set for itself, in milliseconds.";
    "group.consumer.max.size" Int ["2147483647"] at_least(1), ReadOnly Honoured
        "Members that a group of the new protocol may have.";
    "group.consumer.migration.policy" String ["bidirectional"] Validator::OneOfIgnoreCase(MIGRATION_POLICIES), ReadOnly Honoured
        "Which way a group with members may change between the classic and the new protocol.";
    "group.consumer.min.heartbeat.interval.ms" Int ["5000"] at_least(1), ReadOnly Honoured
        "Smallest heartbeat interval that a group may set for itself, in milliseconds.";
    "group.consumer.min.session.timeout.ms" Int ["45000"] at_least(1), ReadOnly Honoured
        "Smallest session timeout that a group may set for itself, in milliseconds.";
    "group.consumer.regex.refresh.interval.ms" Int ["600000"] at_least(10_000), ReadOnly Honoured
        "Milliseconds between two matchings of subscribed patterns against the topics.";
    "group.consumer.session.timeout.ms" Int ["45000"] at_least(1), ReadOnly Honoured
        "Milliseconds without heartbeat after which a member of the new protocol is dropped.";
    "group.coordinator.append.linger.ms" Int ["5"] at_least(-1), ReadOnly AcceptedNoEffect
        "Milliseconds that the coordinator gathers writes; the journal gathers them here.";
    "group.coordinator.new.enable" Boolean ["true"] ANY, ReadOnly AcceptedNoEffect
        "Chooses between two coordinators of Kafka 3.";
    "group.coordinator.rebalance.protocols" List ["classic,consumer,streams"] Validator::ListOf(REBALANCE_PROTOCOLS), ReadOnly AcceptedNoEffect
        "Group protocols that the coordinator speaks.";
    "group.coordinator.threads" Int ["4"] at_least(1), ReadOnly AcceptedNoEffect
        "Threads of the coordinator; it runs on the shards here.";
    "group.initial.rebalance.delay.ms" Int ["3000"] ANY, ReadOnly Honoured
        "Milliseconds that a new classic group waits for more members before its first assignment.";
    "group.max.session.timeout.ms" Int ["1800000"] ANY, ReadOnly Honoured
        "Largest session timeout that a classic member may ask for, in milliseconds.";
    "group.max.size" Int ["2147483647"] at_least(1), ReadOnly Honoured
        "Members that a classic group may have.";
    "group.min.session.timeout.ms" Int ["6000"] ANY, ReadOnly Honoured
        "Smallest session timeout that a classic member may ask for, in milliseconds.";
    "group.share.heartbeat.interval.ms" Int ["5000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds between heartbeats in a share group (KIP-932).";
    "group.share.max.size" Int ["200"] between(1, 1000), ReadOnly AcceptedNoEffect
        "Members that a share group may have.";
    "group.share.session.timeout.ms" Int ["45000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds without heartbeat after which a share member is dropped.";
    "group.streams.heartbeat.interval.ms" Int ["5000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds between heartbeats in a streams group (KIP-1071).";
    "group.streams.session.timeout.ms" Int ["45000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds without heartbeat after which a streams member is dropped.";
    "offset.metadata.max.bytes" Int ["4096"] ANY, ReadOnly Honoured
        "Bytes of metadata that may come with a committed offset.";
    "offsets.commit.timeout.ms" Int ["5000"] at_least(1), ReadOnly Honoured
        "Milliseconds that a commit may wait for its replicas.";
    "offsets.load.buffer.size" Int ["5242880"] at_least(1), ReadOnly AcceptedNoEffect
        "Bytes read at once when the coordinator loads a partition.";
    "offsets.retention.check.interval.ms" Long ["600000"] at_least(1), ReadOnly Honoured
        "Milliseconds between two looks for expired offsets.";
    "offsets.retention.minutes" Int ["10080"] at_least(1), ReadOnly Honoured
        "Minutes that offsets outlive the last member of their group.";
    "offsets.topic.compression.codec" Int ["0"] ANY, ReadOnly AcceptedNoEffect
        "Codec number of the offsets topic.";
    "offsets.topic.num.partitions" Int ["50"] at_least(1), ReadOnly Honoured
        "Partitions of the offsets topic.";
    "offsets.topic.replication.factor" Short ["3"] at_least(1), ReadOnly Honoured
        "Replicas of the offsets topic.";
    "offsets.topic.segment.bytes" Int ["104857600"] at_least(1), ReadOnly Honoured
        "Size in bytes at which a segment of the offsets topic is closed.";
    "producer.id.expiration.check.interval.ms" Int ["600000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds between two looks for idle producers.";
    "producer.id.expiration.ms" Int ["86400000"] at_least(1), ClusterWide Honoured
        "Milliseconds after which a partition forgets an idle idempotent producer.";
    "transaction.abort.timed.out.transaction.cleanup.interval.ms" Int ["10000"] at_least(1), ReadOnly Honoured
        "Milliseconds between two looks for transactions to abort.";
    "transaction.max.timeout.ms" Int ["900000"] at_least(1), ReadOnly Honoured
        "Largest transaction timeout that a producer may ask for, in milliseconds.";
    "transaction.partition.verification.enable" Boolean ["true"] ANY, ClusterWide Honoured
        "Checks with the coordinator that a partition belongs to the transaction (KIP-890).";
    "transaction.remove.expired.transaction.cleanup.interval.ms" Int ["3600000"] at_least(1), ReadOnly Honoured
        "Milliseconds between two looks for expired transactional ids.";
    "transaction.state.log.load.buffer.size" Int ["5242880"] at_least(1), ReadOnly AcceptedNoEffect
        "Bytes read at once when the transaction coordinator loads a partition.";
    "transaction.state.log.min.isr" Int ["2"] at_least(1), ReadOnly Honoured
        "min.insync.replicas of the transaction topic.";
    "transaction.state.log.num.partitions" Int ["50"] at_least(1), ReadOnly Honoured
        "Partitions of the transaction topic.";
    "transaction.state.log.replication.factor" Short ["3"] at_least(1), ReadOnly Honoured
        "Replicas of the transaction topic.";
    "transaction.state.log.segment.bytes" Int ["104857600"] at_least(1), ReadOnly Honoured
        "Size in bytes at which a segment of the transaction topic is closed.";
    "transactional.id.expiration.ms" Int ["604800000"] at_least(1), ReadOnly Honoured
        "Milliseconds after which an unused transactional id is forgotten.";
}
