//! The command line, parsed into checked values.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use chronik_model::{NodeId, Offset, PartitionIndex, TopicName};
use clap::{Args, Subcommand, ValueEnum};

/// Options of every client command.
#[derive(Debug, Clone, Args)]
pub struct GlobalArgs {
    /// Brokers to start from, tried in order; without a port, 9092.
    #[arg(
        short = 'X',
        long,
        global = true,
        env = "CHRONIK_BROKERS",
        default_value = "localhost:9092",
        value_delimiter = ',',
        value_name = "HOST:PORT"
    )]
    pub brokers: Vec<BrokerAddress>,
    /// How results are printed.
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: OutputFormat,
    /// How long to wait for the cluster (500ms, 10s, 2m) [default: 10s]; when given, `consume` also
    /// ends after this long without a record.
    #[arg(long, global = true, value_parser = parse_duration, value_name = "DURATION")]
    pub timeout: Option<Duration>,
}

impl GlobalArgs {
    /// How long a command waits for the cluster when `--timeout` is not given.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(10);

    /// How long one request may take, from connecting to the last byte of the answer.
    #[must_use]
    pub fn request_timeout(&self) -> Duration {
        self.timeout.unwrap_or(Self::DEFAULT_TIMEOUT)
    }
}

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum OutputFormat {
    /// Aligned columns for people.
    #[default]
    Table,
    /// JSON for programs.
    Json,
}

/// The client commands, to be flattened into the binary's own subcommands.
#[derive(Debug, Clone, Subcommand)]
pub enum ClientCommand {
    /// Create, list, describe and delete topics.
    #[command(subcommand)]
    Topic(TopicCommand),
    /// Write records: one per argument, or one per line of standard input.
    Produce(ProduceArgs),
    /// Read records and print them.
    Consume(ConsumeArgs),
    /// List, describe, move and delete consumer groups.
    #[command(subcommand)]
    Group(GroupCommand),
    /// Read and change the configuration of topics and brokers.
    #[command(subcommand)]
    Config(ConfigCommand),
}

/// What to do with topics.
#[derive(Debug, Clone, Subcommand)]
pub enum TopicCommand {
    /// Create topics.
    Create(TopicCreateArgs),
    /// List the topics of the cluster.
    List {
        /// Include the topics that the cluster keeps for itself.
        #[arg(long)]
        internal: bool,
    },
    /// Show partitions, replicas and changed configuration of topics.
    Describe {
        /// Topics to show.
        #[arg(required = true, value_name = "TOPIC", value_parser = parse_topic)]
        topics: Vec<TopicName>,
    },
    /// Delete topics and their records.
    Delete(TopicDeleteArgs),
}

/// Arguments of `topic create`.
#[derive(Debug, Clone, Args)]
pub struct TopicCreateArgs {
    /// Topics to create.
    #[arg(required = true, value_name = "TOPIC", value_parser = parse_topic)]
    pub topics: Vec<TopicName>,
    /// Number of partitions; without it the broker's num.partitions.
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i32).range(1..))]
    pub partitions: Option<i32>,
    /// Replicas of each partition; without it the broker's default.replication.factor.
    #[arg(short, long, value_name = "COUNT", value_parser = clap::value_parser!(i16).range(1..))]
    pub replicas: Option<i16>,
    /// Configuration of the topics, repeatable.
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub config: Vec<KeyValue>,
    /// Succeed when a topic is there already.
    #[arg(long)]
    pub if_not_exists: bool,
}

/// Arguments of `topic delete`.
#[derive(Debug, Clone, Args)]
pub struct TopicDeleteArgs {
    /// Topics to delete.
    #[arg(required = true, value_name = "TOPIC", value_parser = parse_topic)]
    pub topics: Vec<TopicName>,
    /// Succeed when a topic is not there.
    #[arg(long)]
    pub if_exists: bool,
}

/// Arguments of `produce`.
#[derive(Debug, Clone, Args)]
pub struct ProduceArgs {
    /// Topic to write to.
    #[arg(value_parser = parse_topic)]
    pub topic: TopicName,
    /// Values to write; without any, the lines of standard input.
    #[arg(value_name = "VALUE")]
    pub values: Vec<String>,
    /// Split each value into key and value at the first occurrence of this text.
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = parse_non_empty)]
    pub key_separator: Option<String>,
    /// Key of every record.
    #[arg(short, long, conflicts_with = "key_separator")]
    pub key: Option<String>,
    /// Partition to write to; without it the key's hash decides, and keyless records take turns.
    #[arg(short, long, value_parser = parse_partition)]
    pub partition: Option<PartitionIndex>,
    /// Header of every record, repeatable.
    #[arg(short = 'H', long = "header", value_name = "NAME=VALUE")]
    pub headers: Vec<KeyValue>,
    /// Which replicas must have a batch before it counts as written.
    #[arg(long, value_enum, default_value_t)]
    pub acks: Acks,
    /// Compression of the batches.
    #[arg(short = 'z', long, value_enum, default_value_t)]
    pub compression: CompressionArg,
    /// Print where each batch was written.
    #[arg(short, long)]
    pub verbose: bool,
}

/// Who must have a batch before the leader acknowledges it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Acks {
    /// All in-sync replicas.
    #[default]
    #[value(alias = "-1")]
    All,
    /// The leader.
    #[value(name = "1")]
    Leader,
    /// Nobody: the broker does not even answer.
    #[value(name = "0")]
    None,
}

/// Compression of record batches.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum CompressionArg {
    /// As they are.
    #[default]
    None,
    /// Gzip.
    Gzip,
    /// Snappy.
    Snappy,
    /// LZ4 frames.
    Lz4,
    /// Zstandard (KIP-110).
    Zstd,
}

/// Arguments of `consume`.
#[derive(Debug, Clone, Args)]
pub struct ConsumeArgs {
    /// Topic to read.
    #[arg(value_parser = parse_topic)]
    pub topic: TopicName,
    /// Start at the oldest record; the same as `--offset earliest`.
    #[arg(short = 'b', long, conflicts_with = "offset")]
    pub from_beginning: bool,
    /// Partition to read, repeatable; without it all of them.
    #[arg(short, long, value_parser = parse_partition)]
    pub partition: Vec<PartitionIndex>,
    /// Read as a member of this consumer group: partitions are shared with its other members, and
    /// reading goes on where the group left off.
    #[arg(short, long, conflicts_with = "partition", value_parser = parse_non_empty)]
    pub group: Option<String>,
    /// Where to start: an offset, `earliest` or `latest`; in a group, where it has committed nothing.
    #[arg(long, default_value = "latest")]
    pub offset: StartOffset,
    /// End after this many records.
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u64).range(1..))]
    pub count: Option<u64>,
    /// End where the partitions end at the start of this command, instead of waiting for more.
    #[arg(short, long)]
    pub exit_at_end: bool,
    /// How a record is printed; `-o json` implies `json`.
    #[arg(short, long, value_enum, default_value_t)]
    pub format: RecordFormat,
}

impl ConsumeArgs {
    /// Where reading starts.
    #[must_use]
    pub const fn start(&self) -> StartOffset {
        if self.from_beginning {
            StartOffset::Earliest
        } else {
            self.offset
        }
    }
}

/// How a consumed record is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum RecordFormat {
    /// `topic [partition] offset N  timestamp  key -> value`.
    #[default]
    Simple,
    /// The bytes of the value and a line feed.
    Value,
    /// One JSON object per line.
    Json,
}

/// Where `consume` starts in each partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StartOffset {
    /// The log start offset.
    Earliest,
    /// The high watermark: only records written from now on.
    Latest,
    /// This offset.
    At(Offset),
}

impl FromStr for StartOffset {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "earliest" | "beginning" => Ok(Self::Earliest),
            "latest" | "end" => Ok(Self::Latest),
            number => match number.parse() {
                Ok(offset) if offset >= 0 => Ok(Self::At(Offset(offset))),
                Ok(_) | Err(_) => Err("expected a number from 0, earliest or latest".to_owned()),
            },
        }
    }
}

/// What to do with consumer groups.
#[derive(Debug, Clone, Subcommand)]
pub enum GroupCommand {
    /// List the groups of the cluster.
    List {
        /// Only groups in this state (Stable, Empty, ...), repeatable.
        #[arg(long, value_name = "STATE")]
        state: Vec<String>,
    },
    /// Show state, members, committed offsets and lag of groups.
    Describe {
        /// Groups to show.
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
    /// Move the committed offsets of a group without members; without --execute, show what would be.
    ResetOffsets(GroupResetArgs),
    /// Delete groups without members, with their offsets.
    Delete {
        /// Groups to delete.
        #[arg(required = true, value_name = "GROUP")]
        groups: Vec<String>,
    },
}

/// Arguments of `group reset-offsets`.
#[derive(Debug, Clone, Args)]
#[command(group = clap::ArgGroup::new("where").required(true))]
#[command(group = clap::ArgGroup::new("what").required(true))]
pub struct GroupResetArgs {
    /// The group.
    pub group: String,
    /// Topic to move in, all of it or some partitions (orders:0,2), repeatable.
    #[arg(long = "topic", group = "what", value_name = "TOPIC[:PARTITIONS]")]
    pub topics: Vec<TopicSelection>,
    /// Every partition that the group has committed.
    #[arg(long, group = "what")]
    pub all_topics: bool,
    /// To the oldest record.
    #[arg(long, group = "where")]
    pub to_earliest: bool,
    /// To the end.
    #[arg(long, group = "where")]
    pub to_latest: bool,
    /// To this offset, or the nearest that the partition has.
    #[arg(long, group = "where", value_name = "OFFSET", value_parser = parse_offset)]
    pub to_offset: Option<Offset>,
    /// Forwards, or backwards with a minus.
    #[arg(
        long,
        group = "where",
        value_name = "RECORDS",
        allow_negative_numbers = true
    )]
    pub shift_by: Option<i64>,
    /// To the first record at or after this time, in milliseconds since 1970.
    #[arg(long, group = "where", value_name = "MILLISECONDS")]
    pub to_timestamp: Option<i64>,
    /// Do it.
    #[arg(long)]
    pub execute: bool,
}

impl GroupResetArgs {
    /// Where the group goes.
    #[must_use]
    pub const fn to(&self) -> ResetTo {
        if self.to_earliest {
            return ResetTo::Earliest;
        }
        match (self.to_offset, self.shift_by, self.to_timestamp) {
            (Some(offset), ..) => ResetTo::Offset(offset),
            (None, Some(by), _) => ResetTo::Shift(by),
            (None, None, Some(time_ms)) => ResetTo::Time(time_ms),
            (None, None, None) => ResetTo::Latest,
        }
    }
}

/// Where a group goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResetTo {
    /// The log start offset.
    Earliest,
    /// The high watermark.
    Latest,
    /// This offset.
    Offset(Offset),
    /// So many records from where it is.
    Shift(i64),
    /// The first record at or after this time, in ms.
    Time(i64),
}

/// A topic, or some of its partitions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TopicSelection {
    /// The topic.
    pub topic: TopicName,
    /// Its partitions; empty for all.
    pub partitions: Vec<PartitionIndex>,
}

impl FromStr for TopicSelection {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (topic, partitions) = match text.split_once(':') {
            None => (text, Vec::new()),
            Some((topic, list)) => {
                let partitions = list.split(',').map(parse_partition);
                (topic, partitions.collect::<Result<_, _>>()?)
            }
        };
        let topic = parse_topic(topic)?;
        Ok(Self { topic, partitions })
    }
}

/// What to do with configuration.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Show values and where they come from.
    Get {
        /// Whose configuration.
        #[command(flatten)]
        resource: ResourceArgs,
        /// Keys to show; without any, all of them.
        #[arg(value_name = "KEY")]
        keys: Vec<String>,
        /// Leave out keys at their default.
        #[arg(long)]
        changed: bool,
    },
    /// Set values; other keys stay as they are.
    Set {
        /// Whose configuration.
        #[command(flatten)]
        resource: ResourceArgs,
        /// Keys with their new values.
        #[arg(required = true, value_name = "KEY=VALUE")]
        entries: Vec<KeyValue>,
    },
    /// Return keys to their default.
    Delete {
        /// Whose configuration.
        #[command(flatten)]
        resource: ResourceArgs,
        /// Keys to return.
        #[arg(required = true, value_name = "KEY")]
        keys: Vec<String>,
    },
}

/// Whose configuration a `config` command is about; exactly one is given.
#[derive(Debug, Clone, Args)]
#[group(required = true, multiple = false)]
pub struct ResourceArgs {
    /// A topic.
    #[arg(long, value_name = "NAME", value_parser = parse_topic)]
    pub topic: Option<TopicName>,
    /// One broker.
    #[arg(long, value_name = "ID", value_parser = parse_node)]
    pub broker: Option<NodeId>,
    /// The default of all brokers.
    #[arg(long)]
    pub broker_default: bool,
}

impl ResourceArgs {
    /// The resource that was named.
    #[must_use]
    pub fn resource(&self) -> ConfigResource {
        match (&self.topic, self.broker) {
            (Some(topic), _) => ConfigResource::Topic(topic.clone()),
            (None, Some(node)) => ConfigResource::Broker(node),
            (None, None) => ConfigResource::BrokerDefault,
        }
    }
}

/// Something that has configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigResource {
    /// A topic.
    Topic(TopicName),
    /// One broker.
    Broker(NodeId),
    /// What brokers without a value of their own use (KIP-226).
    BrokerDefault,
}

/// Host and port of a broker.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct BrokerAddress {
    /// Name or IP address, without brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
}

impl BrokerAddress {
    /// The port that an address without one means.
    pub const DEFAULT_PORT: u16 = 9092;
}

impl FromStr for BrokerAddress {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (host, port) = match text.strip_prefix('[') {
            Some(rest) => {
                let (host, rest) = rest.split_once(']').ok_or("a ']' is missing")?;
                let port = rest.strip_prefix(':');
                if port.is_none() && !rest.is_empty() {
                    return Err("expected ':' and a port after ']'".to_owned());
                }
                (host, port)
            }
            None => match text.split_once(':') {
                Some((_, port)) if port.contains(':') => {
                    return Err("put an IPv6 address in brackets: [::1]:9092".to_owned());
                }
                Some((host, port)) => (host, Some(port)),
                None => (text, None),
            },
        };
        if host.is_empty() {
            return Err("the host is missing: expected HOST:PORT".to_owned());
        }
        let port = match port {
            None => Self::DEFAULT_PORT,
            Some(port) => match port.parse() {
                Ok(port) if port > 0 => port,
                Ok(_) | Err(_) => return Err(format!("'{port}' is no port: expected 1 to 65535")),
            },
        };
        Ok(Self {
            host: host.to_owned(),
            port,
        })
    }
}

impl fmt::Display for BrokerAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

/// `key=value`; the value may be empty and may hold more equals signs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyValue {
    /// Before the first equals sign; not empty.
    pub key: String,
    /// After it.
    pub value: String,
}

impl FromStr for KeyValue {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((key, value)) if !key.is_empty() => Ok(Self {
                key: key.to_owned(),
                value: value.to_owned(),
            }),
            Some(_) | None => Err("expected KEY=VALUE".to_owned()),
        }
    }
}

/// A topic name that Kafka accepts.
///
/// # Errors
/// What is wrong with the name.
pub fn parse_topic(text: &str) -> Result<TopicName, String> {
    TopicName::new(text).map_err(|error| error.to_string())
}

fn parse_partition(text: &str) -> Result<PartitionIndex, String> {
    parse_from_zero(text).map(PartitionIndex)
}

fn parse_node(text: &str) -> Result<NodeId, String> {
    parse_from_zero(text).map(NodeId)
}

fn parse_from_zero(text: &str) -> Result<i32, String> {
    match text.parse() {
        Ok(number) if number >= 0 => Ok(number),
        Ok(_) | Err(_) => Err("expected a number from 0".to_owned()),
    }
}

fn parse_offset(text: &str) -> Result<Offset, String> {
    match text.parse() {
        Ok(offset) if offset >= 0 => Ok(Offset(offset)),
        Ok(_) | Err(_) => Err("expected a number from 0".to_owned()),
    }
}

fn parse_non_empty(text: &str) -> Result<String, String> {
    if text.is_empty() {
        Err("it can not be empty".to_owned())
    } else {
        Ok(text.to_owned())
    }
}

/// A whole number with a unit (`ms`, `s`, `m`, `h`); seconds without one. Zero is refused, and so
/// is more than 24 hours.
///
/// # Errors
/// What was expected.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let unit_ms = match unit {
        "ms" => 1,
        "" | "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        _ => return Err("expected a number and a unit: 500ms, 10s, 2m, 1h".to_owned()),
    };
    let number: u64 = number
        .parse()
        .map_err(|error| format!("no whole number: {error}"))?;
    let duration = Duration::from_millis(number.saturating_mul(unit_ms));
    if duration.is_zero() || duration > MAX_DURATION {
        return Err("expected 1ms to 24h".to_owned());
    }
    Ok(duration)
}

/// Keeps every duration within the `i32` milliseconds of the protocol.
const MAX_DURATION: Duration = Duration::from_secs(24 * 3600);

#[cfg(test)]
#[path = "args_tests.rs"]
mod tests;
