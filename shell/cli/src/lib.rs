//! Client commands of `chronik-server`: topics, configuration, producing and consuming, against any
//! Kafka-compatible cluster. Blocking sockets with deadlines; no state outlives a command.
//!
//! The [`Client`] under the commands also serves `chronik-bench`, before and after its measurements.

mod api;
mod args;
mod client;
mod config;
mod connection;
mod consume;
mod error;
mod group;
mod member;
mod offsets;
mod output;
mod partitioner;
mod produce;
mod record_format;
mod retry;
mod run;
mod topic;

pub use api::{Api, Versions};
pub use args::{
    Acks, BrokerAddress, ClientCommand, CompressionArg, ConfigCommand, ConfigResource, ConsumeArgs,
    GlobalArgs, GroupCommand, GroupResetArgs, KeyValue, OutputFormat, ProduceArgs, RecordFormat,
    ResetTo, ResourceArgs, StartOffset, TopicCommand, TopicCreateArgs, TopicDeleteArgs,
    TopicSelection, parse_duration, parse_topic,
};
pub use client::{Client, IfMissing, Partition, Target, Topic, wire_name};
pub use connection::Connection;
pub use error::{CliError, is_transient, is_unknown_topic};
pub use offsets::{EARLIEST, LATEST, list_offset};
pub use retry::Retry;
pub use run::{commands, run};
