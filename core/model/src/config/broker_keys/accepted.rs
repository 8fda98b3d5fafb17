//! Keys without a counterpart here: thread pools, Java plug-ins, tiered storage, ZooKeeper.

use crate::config::key::{ANY, Validator, at_least, config_keys};

config_keys! { ACCEPTED:
    "auto.include.jmx.reporter" Boolean ["true"] ANY, ReadOnly AcceptedNoEffect
        "Reports metrics over JMX.";
    "background.threads" Int ["10"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads for background work.";
    "client.quota.callback.class" Class [] ANY, ReadOnly AcceptedNoEffect
        "Java class that sets client quotas.";
    "config.providers" List [""] ANY, ReadOnly AcceptedNoEffect
        "Java classes that look up values elsewhere.";
    "control.plane.listener.name" String [] ANY, ReadOnly AcceptedNoEffect
        "Listener for the controller in ZooKeeper mode.";
    "controlled.shutdown.enable" Boolean ["true"] ANY, ReadOnly AcceptedNoEffect
        "Moves leaders away before a stop, which always happens here.";
    "controlled.shutdown.max.retries" Int ["3"] ANY, ReadOnly AcceptedNoEffect
        "Attempts to move leaders away before a stop.";
    "controlled.shutdown.retry.backoff.ms" Long ["5000"] ANY, ReadOnly AcceptedNoEffect
        "Milliseconds between attempts to move leaders away.";
    "inter.broker.protocol.version" String ["4.3"] ANY, ReadOnly AcceptedNoEffect
        "Protocol between the brokers of old clusters; tools read it as the version of the cluster.";
    "kafka.metrics.polling.interval.secs" Int ["10"] at_least(1), ReadOnly AcceptedNoEffect
        "Seconds between two polls of metrics by Java reporters.";
    "kafka.metrics.reporters" List [""] ANY, ReadOnly AcceptedNoEffect
        "Java classes that report old metrics.";
    "log.local.retention.bytes" Long ["-2"] at_least(-2), ClusterWide AcceptedNoEffect
        "Bytes kept locally on tiered topics.";
    "log.local.retention.ms" Long ["-2"] at_least(-2), ClusterWide AcceptedNoEffect
        "Milliseconds kept locally on tiered topics.";
    "metric.reporters" List [""] ANY, ClusterWide AcceptedNoEffect
        "Java classes that report metrics.";
    "metrics.num.samples" Int ["2"] at_least(1), ReadOnly AcceptedNoEffect
        "Samples that a metric is computed from.";
    "metrics.recording.level" String ["INFO"] ANY, ReadOnly AcceptedNoEffect
        "Level of metrics that are recorded.";
    "metrics.sample.window.ms" Long ["30000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds of one metrics sample.";
    "num.io.threads" Int ["8"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that handle requests; there is one shard per core here.";
    "num.network.threads" Int ["3"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that serve sockets; there is one shard per core here.";
    "num.recovery.threads.per.data.dir" Int ["2"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that recover a data directory at start.";
    "num.replica.alter.log.dirs.threads" Int [] ANY, ReadOnly AcceptedNoEffect
        "Threads that move replicas between data directories.";
    "remote.fetch.max.wait.ms" Int ["500"] at_least(1), ClusterWide AcceptedNoEffect
        "Milliseconds that a fetch from remote storage may wait.";
    "remote.list.offsets.request.timeout.ms" Long ["30000"] at_least(1), ClusterWide AcceptedNoEffect
        "Milliseconds that ListOffsets may wait for remote storage.";
    "remote.log.index.file.cache.total.size.bytes" Long ["1073741824"] at_least(1), ClusterWide AcceptedNoEffect
        "Bytes of remote indexes kept locally.";
    "remote.log.manager.copier.thread.pool.size" Int ["10"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that copy segments to remote storage.";
    "remote.log.manager.copy.max.bytes.per.second" Long ["9223372036854775807"] at_least(1), ClusterWide AcceptedNoEffect
        "Bytes per second copied to remote storage.";
    "remote.log.manager.copy.quota.window.num" Int ["11"] at_least(1), ReadOnly AcceptedNoEffect
        "Windows over which the copy quota is measured.";
    "remote.log.manager.copy.quota.window.size.seconds" Int ["1"] at_least(1), ReadOnly AcceptedNoEffect
        "Seconds in one window of the copy quota.";
    "remote.log.manager.expiration.thread.pool.size" Int ["10"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that delete expired remote segments.";
    "remote.log.manager.fetch.max.bytes.per.second" Long ["9223372036854775807"] at_least(1), ClusterWide AcceptedNoEffect
        "Bytes per second read from remote storage.";
    "remote.log.manager.fetch.quota.window.num" Int ["11"] at_least(1), ReadOnly AcceptedNoEffect
        "Windows over which the fetch quota is measured.";
    "remote.log.manager.fetch.quota.window.size.seconds" Int ["1"] at_least(1), ReadOnly AcceptedNoEffect
        "Seconds in one window of the fetch quota.";
    "remote.log.manager.task.interval.ms" Long ["30000"] at_least(1), ReadOnly AcceptedNoEffect
        "Milliseconds between two rounds of tiering.";
    "remote.log.manager.task.retry.backoff.max.ms" Long ["30000"] at_least(1), ReadOnly AcceptedNoEffect
        "Longest wait in milliseconds before tiering is tried again.";
    "remote.log.manager.task.retry.backoff.ms" Long ["500"] at_least(1), ReadOnly AcceptedNoEffect
        "First wait in milliseconds before tiering is tried again.";
    "remote.log.manager.task.retry.jitter" Double ["0.2"] Validator::Fraction { min: 0.0, max: 0.5 }, ReadOnly AcceptedNoEffect
        "Share by which those waits are spread.";
    "remote.log.manager.thread.pool.size" Int ["2"] at_least(1), ReadOnly AcceptedNoEffect
        "Threads of tiering.";
    "remote.log.metadata.custom.metadata.max.bytes" Int ["128"] at_least(0), ReadOnly AcceptedNoEffect
        "Bytes of metadata that a storage plug-in may add.";
    "remote.log.metadata.manager.class.name" String ["org.apache.kafka.server.log.remote.metadata.storage.TopicBasedRemoteLogMetadataManager"] ANY, ReadOnly AcceptedNoEffect
        "Java class that keeps track of remote segments.";
    "remote.log.metadata.manager.class.path" String [] ANY, ReadOnly AcceptedNoEffect
        "Where that class is loaded from.";
    "remote.log.metadata.manager.impl.prefix" String ["rlmm.config."] ANY, ReadOnly AcceptedNoEffect
        "Prefix of that class's own keys.";
    "remote.log.metadata.manager.listener.name" String [] ANY, ReadOnly AcceptedNoEffect
        "Listener that class connects to.";
    "remote.log.reader.max.pending.tasks" Int ["100"] at_least(1), ReadOnly AcceptedNoEffect
        "Remote reads that may wait.";
    "remote.log.reader.threads" Int ["10"] at_least(1), ClusterWide AcceptedNoEffect
        "Threads that read from remote storage.";
    "remote.log.storage.manager.class.name" String [] ANY, ReadOnly AcceptedNoEffect
        "Java class that moves segments to remote storage.";
    "remote.log.storage.manager.class.path" String [] ANY, ReadOnly AcceptedNoEffect
        "Where that class is loaded from.";
    "remote.log.storage.manager.impl.prefix" String ["rsm.config."] ANY, ReadOnly AcceptedNoEffect
        "Prefix of that class's own keys.";
    "remote.log.storage.system.enable" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "Allows tiered topics; there is no tiered storage here.";
    "remote.storage.enable" Boolean ["false"] ANY, ReadOnly AcceptedNoEffect
        "A topic key that is found in broker files; there is no tiered storage here.";
    "security.providers" String [] ANY, ReadOnly AcceptedNoEffect
        "Java classes that provide security algorithms.";
    "telemetry.max.bytes" Int ["1048576"] at_least(1), ReadOnly AcceptedNoEffect
        "Largest push of client metrics in bytes (KIP-714).";
}

config_keys! {
    /// Whole families of keys, each known by the prefix that is its name here.
    FAMILIES:
    "rlmm.config." String [] ANY, ReadOnly AcceptedNoEffect
        "Keys of the Java class that keeps track of remote segments.";
    "rsm.config." String [] ANY, ReadOnly AcceptedNoEffect
        "Keys of the Java class that moves segments to remote storage.";
    "zookeeper." String [] ANY, ReadOnly AcceptedNoEffect
        "Keys of ZooKeeper mode.";
}
