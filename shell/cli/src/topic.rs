//! `topic create|list|describe|delete`.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;

use chronik_model::{ErrorCode, NodeId, PartitionIndex, TopicName};
use chronik_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use chronik_protocol::messages::describe_log_dirs_request::DescribableLogDirTopic;
use chronik_protocol::messages::{
    CreateTopicsRequest, DeleteTopicsRequest, DescribeLogDirsRequest, StrBytes,
};
use serde_json::{Value, json};

use crate::api::Api;
use crate::args::{ConfigResource, OutputFormat, TopicCommand, TopicCreateArgs, TopicDeleteArgs};
use crate::client::{Client, IfMissing, Target, Topic, wire_name};
use crate::config::{self, ConfigEntry};
use crate::error::{CliError, is_unknown_topic};
use crate::offsets::{EARLIEST, LATEST, list_offset};
use crate::output::{Outcomes, Table, object, write_json};
use crate::retry::Retry;

/// Runs a `topic` command.
pub(crate) fn run(
    command: &TopicCommand,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        TopicCommand::Create(args) => create(args, client, format, out),
        TopicCommand::List { internal } => list(*internal, client, format, out),
        TopicCommand::Describe { topics } => describe(topics, client, format, out),
        TopicCommand::Delete(args) => delete(args, client, format, out),
    }
}

fn create(
    args: &TopicCreateArgs,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut request = CreateTopicsRequest::default();
    request.topics = args
        .topics
        .iter()
        .map(|name| creatable(name, args))
        .collect();
    request.timeout_ms = client.broker_timeout_ms();
    let answer = call_controller(client, &request, |answer| {
        answer.topics.iter().map(|topic| topic.error_code).collect()
    })?;
    let mut outcomes = Outcomes::new("topic");
    for topic in &answer.topics {
        let accepted =
            args.if_not_exists && topic.error_code == ErrorCode::TopicAlreadyExists.code();
        let code = if accepted {
            ErrorCode::None.code()
        } else {
            topic.error_code
        };
        let result = if accepted {
            "exists already"
        } else {
            "created"
        };
        outcomes.add(
            "create topic",
            &topic.name,
            result,
            code,
            topic.error_message.as_deref(),
        );
    }
    outcomes.finish(format, out)
}

fn creatable(name: &TopicName, args: &TopicCreateArgs) -> CreatableTopic {
    let mut topic = CreatableTopic::default();
    topic.name = wire_name(name);
    topic.num_partitions = args.partitions.unwrap_or(BROKER_DEFAULT);
    topic.replication_factor = args.replicas.unwrap_or(-1);
    for entry in &args.config {
        let mut config = CreatableTopicConfig::default();
        config.name = StrBytes::from_string(entry.key.clone());
        config.value = Some(StrBytes::from_string(entry.value.clone()));
        topic.configs.push(config);
    }
    topic
}

fn delete(
    args: &TopicDeleteArgs,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut request = DeleteTopicsRequest::default();
    request.topic_names = args.topics.iter().map(wire_name).collect();
    request.timeout_ms = client.broker_timeout_ms();
    let answer = call_controller(client, &request, |answer| {
        answer
            .responses
            .iter()
            .map(|topic| topic.error_code)
            .collect()
    })?;
    let mut outcomes = Outcomes::new("topic");
    for topic in &answer.responses {
        let name = topic.name.as_ref().map_or("", |name| name.as_str());
        let accepted = args.if_exists && is_unknown_topic(topic.error_code);
        let code = if accepted {
            ErrorCode::None.code()
        } else {
            topic.error_code
        };
        let result = if accepted { "was not there" } else { "deleted" };
        outcomes.add(
            "delete topic",
            name,
            result,
            code,
            topic.error_message.as_deref(),
        );
    }
    outcomes.finish(format, out)
}

fn list(
    internal: bool,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut table = Table::new(["topic", "partitions", "replicas"]);
    for topic in client.all_topics()? {
        if internal || !topic.internal {
            let partitions = topic.partitions.len();
            table.push(vec![
                json!(topic.name.as_str()),
                json!(partitions),
                replicas(&topic),
            ]);
        }
    }
    Ok(table.write(format, out)?)
}

fn describe(
    names: &[TopicName],
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut described = Vec::with_capacity(names.len());
    for name in names {
        let topic = client.topic(name, IfMissing::Fail)?;
        let logs = logs(&topic, client)?;
        let resource = ConfigResource::Topic(name.clone());
        let mut entries = config::entries(&resource, &[], client)?;
        entries.retain(ConfigEntry::is_set_on_topic);
        described.push((topic, entries, logs));
    }
    match format {
        OutputFormat::Json => {
            let topics = described
                .iter()
                .map(|(topic, entries, logs)| topic_json(topic, entries, logs));
            write_json(&Value::Array(topics.collect()), out)?;
        }
        OutputFormat::Table => {
            for (number, (topic, entries, logs)) in described.iter().enumerate() {
                if number > 0 {
                    writeln!(out)?;
                }
                write_topic(topic, entries, logs, out)?;
            }
        }
    }
    Ok(())
}

fn write_topic(
    topic: &Topic,
    entries: &[ConfigEntry],
    logs: &[Log],
    out: &mut dyn Write,
) -> Result<(), CliError> {
    writeln!(out, "topic       {}", topic.name)?;
    writeln!(out, "id          {}", topic.id)?;
    writeln!(out, "partitions  {}", topic.partitions.len())?;
    writeln!(out, "replicas    {}", replicas(topic))?;
    for entry in entries {
        writeln!(out, "config      {}", entry.assignment())?;
    }
    writeln!(out)?;
    Ok(partition_table(topic, logs).write_text(out)?)
}

fn topic_json(topic: &Topic, entries: &[ConfigEntry], logs: &[Log]) -> Value {
    let config = entries
        .iter()
        .map(|entry| (entry.name.clone(), json!(entry.value)))
        .collect();
    object([
        ("topic", json!(topic.name.as_str())),
        ("id", json!(topic.id.to_string())),
        ("internal", json!(topic.internal)),
        ("replicas", replicas(topic)),
        ("config", Value::Object(config)),
        ("partitions", partition_table(topic, logs).to_json()),
    ])
}

/// What the leader of a partition says of its log; nothing where the partition has no leader.
#[derive(Debug, Clone, Copy, Default)]
struct Log {
    start: Option<i64>,
    end: Option<i64>,
    bytes: Option<i64>,
}

/// One for each partition, in their order.
fn logs(topic: &Topic, client: &mut Client) -> Result<Vec<Log>, CliError> {
    let mut sizes = Sizes::new();
    let leaders: BTreeSet<NodeId> = topic
        .partitions
        .iter()
        .filter_map(|partition| partition.leader)
        .collect();
    for leader in leaders {
        sizes.extend(sizes_at(topic, leader, client)?);
    }
    let mut logs = Vec::with_capacity(topic.partitions.len());
    for partition in &topic.partitions {
        let mut log = Log::default();
        if let Some(leader) = partition.leader {
            log.start = Some(list_offset(client, &topic.name, partition.index, EARLIEST)?.0);
            log.end = Some(list_offset(client, &topic.name, partition.index, LATEST)?.0);
            log.bytes = sizes.get(&(leader, partition.index)).copied();
        }
        logs.push(log);
    }
    Ok(logs)
}

/// Bytes by leader and partition.
type Sizes = BTreeMap<(NodeId, PartitionIndex), i64>;

/// Bytes of the topic's partitions on one broker. A broker that does not tell is no failure.
fn sizes_at(topic: &Topic, node: NodeId, client: &mut Client) -> Result<Sizes, CliError> {
    let mut wanted = DescribableLogDirTopic::default();
    wanted.topic = wire_name(&topic.name);
    wanted.partitions = topic.partitions.iter().map(|it| it.index.0).collect();
    let mut request = DescribeLogDirsRequest::default();
    request.topics = Some(vec![wanted]);
    let answer = match client.call(Target::Broker(node), &request) {
        Ok(answer) => answer,
        Err(CliError::Unsupported { .. }) => return Ok(Sizes::new()),
        Err(error) => return Err(error),
    };
    let topics = answer
        .results
        .iter()
        .flat_map(|directory| &directory.topics);
    let partitions = topics.flat_map(|topic| &topic.partitions);
    let current = partitions.filter(|partition| !partition.is_future_key);
    let sizes = current.map(|partition| {
        let index = PartitionIndex(partition.partition_index);
        ((node, index), partition.partition_size)
    });
    Ok(sizes.collect())
}

fn partition_table(topic: &Topic, logs: &[Log]) -> Table {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let columns = [
        "partition",
        "leader",
        "leader_epoch",
        "replicas",
        "isr",
        "offline",
        "start",
        "end",
        "bytes",
    ];
    let mut table = Table::new(columns);
    for (partition, log) in topic.partitions.iter().zip(logs) {
        table.push(vec![
            json!(partition.index.0),
            json!(partition.leader.map(|node| node.0)),
            json!(partition.leader_epoch.0),
            json!(ids(&partition.replicas)),
            json!(ids(&partition.isr)),
            json!(ids(&partition.offline)),
            json!(log.start),
            json!(log.end),
            json!(log.bytes),
        ]);
    }
    table
}

/// Replicas of the first partition, which has as many as the others but during reassignments.
fn replicas(topic: &Topic) -> Value {
    json!(
        topic
            .partitions
            .first()
            .map_or(0, |partition| partition.replicas.len())
    )
}

/// Sends to the controller, and again while it is moving; `codes` are those of the answer.
fn call_controller<A: Api>(
    client: &mut Client,
    request: &A,
    codes: impl Fn(&A::Response) -> Vec<i16>,
) -> Result<A::Response, CliError> {
    let mut retry = Retry::within(client.timeout());
    loop {
        match client.call(Target::Controller, request) {
            Ok(answer) => {
                let moved = codes(&answer).contains(&ErrorCode::NotController.code());
                if !moved || !retry.again() {
                    return Ok(answer);
                }
            }
            Err(error) if error.nothing_was_sent() && retry.again() => {}
            Err(error) => return Err(error),
        }
        client.forget_controller();
    }
}

/// Lets the broker choose the number of partitions or replicas (KIP-464).
const BROKER_DEFAULT: i32 = -1;
