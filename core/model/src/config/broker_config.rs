//! The values of one broker as the node uses them.

use std::borrow::Cow;

use super::layers::lookup;
use super::topic_config::number;
use super::{Layers, broker_key, validate};

/// The effective values of one broker that are not defaults of topics. Times are in milliseconds
/// where the name does not say otherwise.
#[derive(Debug, Clone, PartialEq)]
pub struct BrokerConfig {
    /// Topics are created when a client asks for them.
    pub auto_create_topics_enable: bool,
    /// Leadership moves back to preferred replicas.
    pub auto_leader_rebalance_enable: bool,
    /// Replicas of a new topic.
    pub default_replication_factor: i16,
    /// Topics can be deleted.
    pub delete_topic_enable: bool,
    /// Size of the journal ring in bytes; 0 chooses by the size of the disk.
    pub journal_bytes: u64,
    /// Bytes per second of compaction; `f64::MAX` for no limit.
    pub log_cleaner_io_max_bytes_per_second: f64,
    /// Time between two looks for segments to compact.
    pub log_cleaner_backoff_ms: i64,
    /// Bytes that the key tables of all compactions may take.
    pub log_cleaner_dedupe_buffer_bytes: u64,
    /// Compaction runs.
    pub log_cleaner_enable: bool,
    /// Threads that compact; 0 stops compaction, other numbers make no difference.
    pub log_cleaner_threads: usize,
    /// Time between two looks for segments to delete.
    pub log_retention_check_interval_ms: i64,
    /// Memory budget of the process in bytes.
    pub memory_bytes: u64,
    /// Largest batch in bytes.
    pub message_max_bytes: usize,
    /// Bytes of metadata records behind which the metadata is written down as a whole.
    pub metadata_snapshot_bytes: u64,
    /// Longest time that a metadata record waits for that; `None` for no limit.
    pub metadata_snapshot_interval_ms: Option<i64>,
    /// Partitions of a new topic.
    pub num_partitions: i32,
    /// Time after which an idle producer is forgotten.
    pub producer_id_expiration_ms: i64,
    /// Rack of this broker.
    pub rack: Option<String>,
    /// Groups and their offsets.
    pub groups: GroupSettings,
    /// Sockets and requests.
    pub network: NetworkSettings,
    /// Replicas, and the life of brokers.
    pub replication: ReplicationSettings,
    /// Transactions.
    pub transactions: TransactionSettings,
}

/// Sockets and requests.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NetworkSettings {
    /// Time after which an idle connection is closed; `None` for never.
    pub connections_max_idle_ms: Option<i64>,
    /// Time before a connection that failed to authenticate is closed.
    pub failed_authentication_delay_ms: i64,
    /// Largest answer to a fetch in bytes.
    pub fetch_max_bytes: usize,
    /// Connections accepted per second.
    pub max_connection_creation_rate: u32,
    /// Connections held open.
    pub max_connections: usize,
    /// Connections held open by one address.
    pub max_connections_per_ip: usize,
    /// Fetch sessions remembered.
    pub max_incremental_fetch_session_cache_slots: usize,
    /// Partitions in one answer to DescribeTopicPartitions.
    pub max_request_partition_size_limit: usize,
    /// Bytes of waiting requests; `None` for no limit of its own.
    pub queued_max_request_bytes: Option<u64>,
    /// Waiting requests.
    pub queued_max_requests: usize,
    /// Time that a request to another node may take.
    pub request_timeout_ms: i64,
    /// Connections that wait to be accepted.
    pub socket_listen_backlog_size: i32,
    /// Receive buffer in bytes; `None` leaves it to the operating system.
    pub socket_receive_buffer_bytes: Option<usize>,
    /// Largest request in bytes.
    pub socket_request_max_bytes: usize,
    /// Send buffer in bytes; `None` leaves it to the operating system.
    pub socket_send_buffer_bytes: Option<usize>,
}

/// Replicas, and the life of brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicationSettings {
    /// Time between signs of life.
    pub broker_heartbeat_interval_ms: i64,
    /// Time after which a silent broker counts as dead.
    pub broker_session_timeout_ms: i64,
    /// Bytes per second that throttled replicas fetch; `i64::MAX` for no limit.
    pub follower_throttled_rate: u64,
    /// Bytes per second that throttled replicas are served.
    pub leader_throttled_rate: u64,
    /// Time before a fetch is tried again.
    pub replica_fetch_backoff_ms: i64,
    /// Bytes of one partition in one fetch.
    pub replica_fetch_max_bytes: usize,
    /// Bytes that a leader waits for.
    pub replica_fetch_min_bytes: usize,
    /// Bytes of all partitions in one fetch.
    pub replica_fetch_response_max_bytes: usize,
    /// Time that a leader may keep a replica waiting.
    pub replica_fetch_wait_max_ms: i64,
    /// Time that a replica may lag and stay in sync.
    pub replica_lag_time_max_ms: i64,
}

/// Which protocols a group with members may change between (`group.consumer.migration.policy`,
/// KIP-848).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MigrationPolicy {
    /// Neither way.
    Disabled,
    /// From the classic to the consumer protocol.
    Upgrade,
    /// From the consumer to the classic protocol.
    Downgrade,
    /// Both ways.
    Bidirectional,
}

impl MigrationPolicy {
    fn parse(text: &str) -> Self {
        match text.to_ascii_lowercase().as_str() {
            "disabled" => Self::Disabled,
            "upgrade" => Self::Upgrade,
            "downgrade" => Self::Downgrade,
            _ => Self::Bidirectional,
        }
    }

    /// Whether a classic group may become a consumer group.
    #[must_use]
    pub const fn allows_upgrade(self) -> bool {
        matches!(self, Self::Upgrade | Self::Bidirectional)
    }

    /// Whether a consumer group may become a classic group.
    #[must_use]
    pub const fn allows_downgrade(self) -> bool {
        matches!(self, Self::Downgrade | Self::Bidirectional)
    }
}

/// Groups and their offsets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupSettings {
    /// Assignors of the new protocol, the default first.
    pub consumer_assignors: Vec<String>,
    /// Heartbeat interval of the new protocol.
    pub consumer_heartbeat_interval_ms: i32,
    /// Which protocols a group may change between while it has members.
    pub consumer_migration: MigrationPolicy,
    /// Time after which a regular expression is matched again.
    pub consumer_regex_refresh_interval_ms: i32,
    /// Members of a group of the new protocol.
    pub consumer_max_size: usize,
    /// Session timeout of the new protocol.
    pub consumer_session_timeout_ms: i32,
    /// Wait of a new classic group for more members.
    pub initial_rebalance_delay_ms: i32,
    /// Largest session timeout of a classic member.
    pub max_session_timeout_ms: i32,
    /// Members of a classic group.
    pub max_size: usize,
    /// Smallest session timeout of a classic member.
    pub min_session_timeout_ms: i32,
    /// Bytes of metadata of a committed offset.
    pub offset_metadata_max_bytes: usize,
    /// Time that a commit may wait.
    pub offsets_commit_timeout_ms: i64,
    /// Time between two looks for expired offsets.
    pub offsets_retention_check_interval_ms: i64,
    /// Time that offsets outlive their group.
    pub offsets_retention_ms: i64,
    /// Partitions of the offsets topic.
    pub offsets_topic_num_partitions: i32,
    /// Replicas of the offsets topic.
    pub offsets_topic_replication_factor: i16,
    /// Segment size of the offsets topic.
    pub offsets_topic_segment_bytes: u64,
}

/// Transactions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TransactionSettings {
    /// Time between two looks for transactions to abort.
    pub abort_check_interval_ms: i64,
    /// Largest transaction timeout.
    pub max_timeout_ms: i32,
    /// Partitions are checked with the coordinator.
    pub partition_verification_enable: bool,
    /// `min.insync.replicas` of the transaction topic.
    pub state_log_min_isr: usize,
    /// Partitions of the transaction topic.
    pub state_log_num_partitions: i32,
    /// Replicas of the transaction topic.
    pub state_log_replication_factor: i16,
    /// Segment size of the transaction topic.
    pub state_log_segment_bytes: u64,
    /// Time after which an unused transactional id is forgotten.
    pub transactional_id_expiration_ms: i64,
}

impl BrokerConfig {
    /// The effective values. Values that do not validate are passed over.
    #[must_use]
    pub fn resolve(layers: &Layers<'_>) -> Self {
        let broker = Broker { layers };
        Self {
            auto_create_topics_enable: broker.flag("auto.create.topics.enable"),
            auto_leader_rebalance_enable: broker.flag("auto.leader.rebalance.enable"),
            default_replication_factor: broker.number("default.replication.factor"),
            delete_topic_enable: broker.flag("delete.topic.enable"),
            journal_bytes: broker.number("chronik.journal.bytes"),
            log_cleaner_io_max_bytes_per_second: broker
                .text("log.cleaner.io.max.bytes.per.second")
                .parse()
                .unwrap_or(f64::MAX),
            log_cleaner_backoff_ms: broker.number("log.cleaner.backoff.ms"),
            log_cleaner_dedupe_buffer_bytes: broker.number("log.cleaner.dedupe.buffer.size"),
            log_cleaner_enable: broker.flag("log.cleaner.enable"),
            log_cleaner_threads: broker.number("log.cleaner.threads"),
            log_retention_check_interval_ms: broker.number("log.retention.check.interval.ms"),
            memory_bytes: broker.number("chronik.memory.bytes"),
            message_max_bytes: broker.number("message.max.bytes"),
            metadata_snapshot_bytes: broker
                .number("metadata.log.max.record.bytes.between.snapshots"),
            metadata_snapshot_interval_ms: broker
                .limit("metadata.log.max.snapshot.interval.ms")
                .filter(|interval| *interval > 0),
            num_partitions: broker.number("num.partitions"),
            producer_id_expiration_ms: broker.number("producer.id.expiration.ms"),
            rack: Some(broker.text("broker.rack").into_owned()).filter(|rack| !rack.is_empty()),
            groups: groups(&broker),
            network: network(&broker),
            replication: replication(&broker),
            transactions: transactions(&broker),
        }
    }
}

fn network(broker: &Broker<'_>) -> NetworkSettings {
    NetworkSettings {
        connections_max_idle_ms: broker.limit("connections.max.idle.ms"),
        failed_authentication_delay_ms: broker.number("connection.failed.authentication.delay.ms"),
        fetch_max_bytes: broker.number("fetch.max.bytes"),
        max_connection_creation_rate: broker.number("max.connection.creation.rate"),
        max_connections: broker.number("max.connections"),
        max_connections_per_ip: broker.number("max.connections.per.ip"),
        max_incremental_fetch_session_cache_slots: broker
            .number("max.incremental.fetch.session.cache.slots"),
        max_request_partition_size_limit: broker.number("max.request.partition.size.limit"),
        queued_max_request_bytes: broker.limit("queued.max.request.bytes"),
        queued_max_requests: broker.number("queued.max.requests"),
        request_timeout_ms: broker.number("request.timeout.ms"),
        socket_listen_backlog_size: broker.number("socket.listen.backlog.size"),
        socket_receive_buffer_bytes: broker.limit("socket.receive.buffer.bytes"),
        socket_request_max_bytes: broker.number("socket.request.max.bytes"),
        socket_send_buffer_bytes: broker.limit("socket.send.buffer.bytes"),
    }
}

fn replication(broker: &Broker<'_>) -> ReplicationSettings {
    ReplicationSettings {
        broker_heartbeat_interval_ms: broker.number("broker.heartbeat.interval.ms"),
        broker_session_timeout_ms: broker.number("broker.session.timeout.ms"),
        follower_throttled_rate: broker.number("follower.replication.throttled.rate"),
        leader_throttled_rate: broker.number("leader.replication.throttled.rate"),
        replica_fetch_backoff_ms: broker.number("replica.fetch.backoff.ms"),
        replica_fetch_max_bytes: broker.number("replica.fetch.max.bytes"),
        replica_fetch_min_bytes: broker.number("replica.fetch.min.bytes"),
        replica_fetch_response_max_bytes: broker.number("replica.fetch.response.max.bytes"),
        replica_fetch_wait_max_ms: broker.number("replica.fetch.wait.max.ms"),
        replica_lag_time_max_ms: broker.number("replica.lag.time.max.ms"),
    }
}

fn groups(broker: &Broker<'_>) -> GroupSettings {
    const MILLIS_PER_MINUTE: i64 = 60_000;
    let retention_minutes: i64 = broker.number("offsets.retention.minutes");
    GroupSettings {
        consumer_assignors: broker.list("group.consumer.assignors"),
        consumer_migration: MigrationPolicy::parse(&broker.text("group.consumer.migration.policy")),
        consumer_regex_refresh_interval_ms: broker
            .number("group.consumer.regex.refresh.interval.ms"),
        consumer_heartbeat_interval_ms: broker.number("group.consumer.heartbeat.interval.ms"),
        consumer_max_size: broker.number("group.consumer.max.size"),
        consumer_session_timeout_ms: broker.number("group.consumer.session.timeout.ms"),
        initial_rebalance_delay_ms: broker.number("group.initial.rebalance.delay.ms"),
        max_session_timeout_ms: broker.number("group.max.session.timeout.ms"),
        max_size: broker.number("group.max.size"),
        min_session_timeout_ms: broker.number("group.min.session.timeout.ms"),
        offset_metadata_max_bytes: broker.number("offset.metadata.max.bytes"),
        offsets_commit_timeout_ms: broker.number("offsets.commit.timeout.ms"),
        offsets_retention_check_interval_ms: broker.number("offsets.retention.check.interval.ms"),
        offsets_retention_ms: retention_minutes.saturating_mul(MILLIS_PER_MINUTE),
        offsets_topic_num_partitions: broker.number("offsets.topic.num.partitions"),
        offsets_topic_replication_factor: broker.number("offsets.topic.replication.factor"),
        offsets_topic_segment_bytes: broker.number("offsets.topic.segment.bytes"),
    }
}

fn transactions(broker: &Broker<'_>) -> TransactionSettings {
    TransactionSettings {
        abort_check_interval_ms: broker
            .number("transaction.abort.timed.out.transaction.cleanup.interval.ms"),
        max_timeout_ms: broker.number("transaction.max.timeout.ms"),
        partition_verification_enable: broker.flag("transaction.partition.verification.enable"),
        state_log_min_isr: broker.number("transaction.state.log.min.isr"),
        state_log_num_partitions: broker.number("transaction.state.log.num.partitions"),
        state_log_replication_factor: broker.number("transaction.state.log.replication.factor"),
        state_log_segment_bytes: broker.number("transaction.state.log.segment.bytes"),
        transactional_id_expiration_ms: broker.number("transactional.id.expiration.ms"),
    }
}

struct Broker<'a> {
    layers: &'a Layers<'a>,
}

impl<'a> Broker<'a> {
    /// The effective text; empty where the key is null.
    fn text(&self, name: &str) -> Cow<'a, str> {
        let Some(key) = broker_key(name) else {
            return Cow::Borrowed("");
        };
        let sources = self.layers.sources().into_iter();
        let mut set = sources.filter_map(|(map, _source)| lookup(map, name));
        let valid = set.find(|value| validate(key, value).is_ok());
        Cow::Borrowed(valid.or(key.default).unwrap_or_default().trim())
    }

    fn number<T: TryFrom<i64> + Default>(&self, name: &str) -> T {
        number(&self.text(name))
    }

    /// A bound whose negative values mean that there is none.
    fn limit<T: TryFrom<i64>>(&self, name: &str) -> Option<T> {
        let value: i64 = self.number(name);
        T::try_from(value).ok().filter(|_| value >= 0)
    }

    fn list(&self, name: &str) -> Vec<String> {
        let text = self.text(name);
        let items = text.split(',').map(str::trim);
        items
            .filter(|item| !item.is_empty())
            .map(str::to_owned)
            .collect()
    }

    fn flag(&self, name: &str) -> bool {
        self.text(name).eq_ignore_ascii_case("true")
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn resolve(pairs: &[(&str, &str)]) -> BrokerConfig {
        let file = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        BrokerConfig::resolve(&Layers::of_static(&file))
    }

    #[test]
    fn defaults_are_those_of_kafka() {
        let config = resolve(&[]);
        assert!(config.auto_create_topics_enable && config.delete_topic_enable);
        assert!(config.auto_leader_rebalance_enable && config.log_cleaner_enable);
        assert_eq!(config.rack, None);
        assert_eq!(config.log_cleaner_io_max_bytes_per_second, f64::MAX);
        let numbers = (config.num_partitions, config.default_replication_factor);
        assert_eq!(numbers, (1, 1));
        let bytes = (
            config.memory_bytes,
            config.journal_bytes,
            config.message_max_bytes,
        );
        assert_eq!(bytes, (128 << 20, 1 << 30, 1_048_588));
        let times = (
            config.log_retention_check_interval_ms,
            config.producer_id_expiration_ms,
        );
        assert_eq!(times, (300_000, 86_400_000));
        assert_eq!(config.log_cleaner_backoff_ms, 15_000);
        assert_eq!(config.log_cleaner_dedupe_buffer_bytes, 128 << 20);
        assert_eq!(config.log_cleaner_threads, 1);
        let snapshots = (
            config.metadata_snapshot_bytes,
            config.metadata_snapshot_interval_ms,
        );
        assert_eq!(snapshots, (20_971_520, Some(3_600_000)));
    }

    #[test]
    fn default_settings_of_each_part() {
        let none = BTreeMap::new();
        let layers = Layers::of_static(&none);
        let broker = Broker { layers: &layers };
        let expected = NetworkSettings {
            connections_max_idle_ms: Some(600_000),
            failed_authentication_delay_ms: 100,
            fetch_max_bytes: 55 << 20,
            max_connection_creation_rate: 2_147_483_647,
            max_connections: 2_147_483_647,
            max_connections_per_ip: 2_147_483_647,
            max_incremental_fetch_session_cache_slots: 1000,
            max_request_partition_size_limit: 2000,
            queued_max_request_bytes: None,
            queued_max_requests: 500,
            request_timeout_ms: 30_000,
            socket_listen_backlog_size: 50,
            socket_receive_buffer_bytes: Some(102_400),
            socket_request_max_bytes: 100 << 20,
            socket_send_buffer_bytes: Some(102_400),
        };
        assert_eq!(network(&broker), expected);
        let expected = ReplicationSettings {
            broker_heartbeat_interval_ms: 2000,
            broker_session_timeout_ms: 9000,
            follower_throttled_rate: i64::MAX.unsigned_abs(),
            leader_throttled_rate: i64::MAX.unsigned_abs(),
            replica_fetch_backoff_ms: 1000,
            replica_fetch_max_bytes: 1 << 20,
            replica_fetch_min_bytes: 1,
            replica_fetch_response_max_bytes: 10 << 20,
            replica_fetch_wait_max_ms: 500,
            replica_lag_time_max_ms: 30_000,
        };
        assert_eq!(replication(&broker), expected);
        let expected = GroupSettings {
            consumer_assignors: vec!["uniform".to_owned(), "range".to_owned()],
            consumer_migration: MigrationPolicy::Bidirectional,
            consumer_regex_refresh_interval_ms: 600_000,
            consumer_heartbeat_interval_ms: 5000,
            consumer_max_size: 2_147_483_647,
            consumer_session_timeout_ms: 45_000,
            initial_rebalance_delay_ms: 3000,
            max_session_timeout_ms: 1_800_000,
            max_size: 2_147_483_647,
            min_session_timeout_ms: 6000,
            offset_metadata_max_bytes: 4096,
            offsets_commit_timeout_ms: 5000,
            offsets_retention_check_interval_ms: 600_000,
            offsets_retention_ms: 604_800_000,
            offsets_topic_num_partitions: 50,
            offsets_topic_replication_factor: 3,
            offsets_topic_segment_bytes: 100 << 20,
        };
        assert_eq!(groups(&broker), expected);
        let expected = TransactionSettings {
            abort_check_interval_ms: 10_000,
            max_timeout_ms: 900_000,
            partition_verification_enable: true,
            state_log_min_isr: 2,
            state_log_num_partitions: 50,
            state_log_replication_factor: 3,
            state_log_segment_bytes: 100 << 20,
            transactional_id_expiration_ms: 604_800_000,
        };
        assert_eq!(transactions(&broker), expected);
    }

    #[test]
    fn set_values_count_and_invalid_ones_do_not() {
        let config = resolve(&[
            ("num.partitions", " 4 "),
            ("default.replication.factor", "0"),
            ("auto.create.topics.enable", "False"),
            ("broker.rack", "b"),
            ("connections.max.idle.ms", "-1"),
            ("socket.send.buffer.bytes", "-1"),
            ("metadata.log.max.snapshot.interval.ms", "0"),
        ]);
        assert_eq!(config.metadata_snapshot_interval_ms, None);
        assert_eq!(
            (config.num_partitions, config.default_replication_factor),
            (4, 1)
        );
        assert!(!config.auto_create_topics_enable);
        assert_eq!(config.rack.as_deref(), Some("b"));
        assert_eq!(config.network.connections_max_idle_ms, None);
        assert_eq!(config.network.socket_send_buffer_bytes, None);
    }
}
