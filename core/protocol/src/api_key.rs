//! The APIs of Kafka: numbers, names, and from which version on they are flexible.

/// `flexible_from` of an API that has no flexible version.
const NEVER: i16 = i16::MAX;

macro_rules! api_keys {
    ($($variant:ident = $key:literal flexible $flexible:expr,)*) => {
        /// An API of Kafka 4. The APIs that Kafka 4 removed (4 to 7) are not here.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(i16)]
        pub enum ApiKey {
            $(#[doc = concat!("API ", stringify!($key), ".")] $variant = $key,)*
        }

        impl ApiKey {
            /// Every API, in order of its number.
            pub const ALL: &'static [Self] = &[$(Self::$variant,)*];

            /// The number on the wire.
            #[must_use]
            pub const fn code(self) -> i16 {
                match self {
                    $(Self::$variant => $key,)*
                }
            }

            /// Kafka's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => stringify!($variant),)*
                }
            }

            /// The API with this number.
            #[must_use]
            pub const fn from_i16(code: i16) -> Option<Self> {
                match code {
                    $($key => Some(Self::$variant),)*
                    _ => None,
                }
            }

            const fn flexible_from(self) -> i16 {
                match self {
                    $(Self::$variant => $flexible,)*
                }
            }
        }
    };
}

api_keys! {
    Produce = 0 flexible 9,
    Fetch = 1 flexible 12,
    ListOffsets = 2 flexible 6,
    Metadata = 3 flexible 9,
    OffsetCommit = 8 flexible 8,
    OffsetFetch = 9 flexible 6,
    FindCoordinator = 10 flexible 3,
    JoinGroup = 11 flexible 6,
    Heartbeat = 12 flexible 4,
    LeaveGroup = 13 flexible 4,
    SyncGroup = 14 flexible 4,
    DescribeGroups = 15 flexible 5,
    ListGroups = 16 flexible 3,
    SaslHandshake = 17 flexible NEVER,
    ApiVersions = 18 flexible 3,
    CreateTopics = 19 flexible 5,
    DeleteTopics = 20 flexible 4,
    DeleteRecords = 21 flexible 2,
    InitProducerId = 22 flexible 2,
    OffsetForLeaderEpoch = 23 flexible 4,
    AddPartitionsToTxn = 24 flexible 3,
    AddOffsetsToTxn = 25 flexible 3,
    EndTxn = 26 flexible 3,
    WriteTxnMarkers = 27 flexible 1,
    TxnOffsetCommit = 28 flexible 3,
    DescribeAcls = 29 flexible 2,
    CreateAcls = 30 flexible 2,
    DeleteAcls = 31 flexible 2,
    DescribeConfigs = 32 flexible 4,
    AlterConfigs = 33 flexible 2,
    AlterReplicaLogDirs = 34 flexible 2,
    DescribeLogDirs = 35 flexible 2,
    SaslAuthenticate = 36 flexible 2,
    CreatePartitions = 37 flexible 2,
    CreateDelegationToken = 38 flexible 2,
    RenewDelegationToken = 39 flexible 2,
    ExpireDelegationToken = 40 flexible 2,
    DescribeDelegationToken = 41 flexible 2,
    DeleteGroups = 42 flexible 2,
    ElectLeaders = 43 flexible 2,
    IncrementalAlterConfigs = 44 flexible 1,
    AlterPartitionReassignments = 45 flexible 0,
    ListPartitionReassignments = 46 flexible 0,
    OffsetDelete = 47 flexible NEVER,
    DescribeClientQuotas = 48 flexible 1,
    AlterClientQuotas = 49 flexible 1,
    DescribeUserScramCredentials = 50 flexible 0,
    AlterUserScramCredentials = 51 flexible 0,
    Vote = 52 flexible 0,
    BeginQuorumEpoch = 53 flexible 1,
    EndQuorumEpoch = 54 flexible 1,
    DescribeQuorum = 55 flexible 0,
    AlterPartition = 56 flexible 0,
    UpdateFeatures = 57 flexible 0,
    Envelope = 58 flexible 0,
    FetchSnapshot = 59 flexible 0,
    DescribeCluster = 60 flexible 0,
    DescribeProducers = 61 flexible 0,
    BrokerRegistration = 62 flexible 0,
    BrokerHeartbeat = 63 flexible 0,
    UnregisterBroker = 64 flexible 0,
    DescribeTransactions = 65 flexible 0,
    ListTransactions = 66 flexible 0,
    AllocateProducerIds = 67 flexible 0,
    ConsumerGroupHeartbeat = 68 flexible 0,
    ConsumerGroupDescribe = 69 flexible 0,
    ControllerRegistration = 70 flexible 0,
    GetTelemetrySubscriptions = 71 flexible 0,
    PushTelemetry = 72 flexible 0,
    AssignReplicasToDirs = 73 flexible 0,
    ListConfigResources = 74 flexible 0,
    DescribeTopicPartitions = 75 flexible 0,
    ShareGroupHeartbeat = 76 flexible 0,
    ShareGroupDescribe = 77 flexible 0,
    ShareFetch = 78 flexible 0,
    ShareAcknowledge = 79 flexible 0,
    AddRaftVoter = 80 flexible 0,
    RemoveRaftVoter = 81 flexible 0,
    UpdateRaftVoter = 82 flexible 0,
    InitializeShareGroupState = 83 flexible 0,
    ReadShareGroupState = 84 flexible 0,
    WriteShareGroupState = 85 flexible 0,
    DeleteShareGroupState = 86 flexible 0,
    ReadShareGroupStateSummary = 87 flexible 0,
    StreamsGroupHeartbeat = 88 flexible 0,
    StreamsGroupDescribe = 89 flexible 0,
    DescribeShareGroupOffsets = 90 flexible 0,
    AlterShareGroupOffsets = 91 flexible 0,
    DeleteShareGroupOffsets = 92 flexible 0,
}

impl ApiKey {
    /// Whether this version has compact lengths and tagged fields (KIP-482).
    #[must_use]
    pub const fn is_flexible(self, version: i16) -> bool {
        version >= self.flexible_from()
    }
}

impl std::fmt::Display for ApiKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// The number of ControlledShutdown, which Kafka 4 removed; its version 0 has a header of its own.
pub const CONTROLLED_SHUTDOWN: i16 = 7;

/// Whether `version` of the API with number `api_key` has compact lengths and tagged fields
/// (KIP-482). Numbers that nobody knows are taken for APIs without.
#[must_use]
pub const fn is_flexible(api_key: i16, version: i16) -> bool {
    match ApiKey::from_i16(api_key) {
        Some(known) => known.is_flexible(version),
        None => match api_key {
            // LeaderAndIsr, StopReplica, UpdateMetadata and ControlledShutdown of Kafka before 4.
            4 => version >= 4,
            5 => version >= 2,
            6 => version >= 6,
            CONTROLLED_SHUTDOWN => version >= 3,
            _ => false,
        },
    }
}

/// The versions of one API that a broker serves, both ends inclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiVersionRange {
    /// The API.
    pub api_key: ApiKey,
    /// Lowest version served.
    pub min_version: i16,
    /// Highest version served.
    pub max_version: i16,
}

impl ApiVersionRange {
    /// Whether the range has `version`.
    #[must_use]
    pub const fn contains(&self, version: i16) -> bool {
        self.min_version <= version && version <= self.max_version
    }
}
