//! Client commands of `chronik-server`: topics, configuration, producing and consuming, against any
//! Kafka-compatible cluster. Blocking sockets with deadlines; no state outlives a command.

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

pub use args::{
    Acks, BrokerAddress, ClientCommand, CompressionArg, ConfigCommand, ConfigResource, ConsumeArgs,
    GlobalArgs, GroupCommand, GroupResetArgs, KeyValue, OutputFormat, ProduceArgs, RecordFormat,
    ResetTo, ResourceArgs, StartOffset, TopicCommand, TopicCreateArgs, TopicDeleteArgs,
    TopicSelection,
};
pub use run::{commands, run};
