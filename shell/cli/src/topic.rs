//! `topic create|list|describe|delete`.

use std::io::Write;

use chronik_model::{ErrorCode, NodeId, TopicName};
use chronik_protocol::messages::create_topics_request::{CreatableTopic, CreatableTopicConfig};
use chronik_protocol::messages::{CreateTopicsRequest, DeleteTopicsRequest, StrBytes};
use serde_json::{Value, json};

use crate::api::Api;
use crate::args::{ConfigResource, OutputFormat, TopicCommand, TopicCreateArgs, TopicDeleteArgs};
use crate::client::{Client, IfMissing, Target, Topic, wire_name};
use crate::config::{self, ConfigEntry};
use crate::error::{CliError, is_unknown_topic};
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
        let resource = ConfigResource::Topic(name.clone());
        let mut entries = config::entries(&resource, &[], client)?;
        entries.retain(ConfigEntry::is_set_on_topic);
        described.push((topic, entries));
    }
    match format {
        OutputFormat::Json => {
            let topics = described
                .iter()
                .map(|(topic, entries)| topic_json(topic, entries));
            write_json(&Value::Array(topics.collect()), out)?;
        }
        OutputFormat::Table => {
            for (number, (topic, entries)) in described.iter().enumerate() {
                if number > 0 {
                    writeln!(out)?;
                }
                write_topic(topic, entries, out)?;
            }
        }
    }
    Ok(())
}

fn write_topic(
    topic: &Topic,
    entries: &[ConfigEntry],
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
    Ok(partition_table(topic).write_text(out)?)
}

fn topic_json(topic: &Topic, entries: &[ConfigEntry]) -> Value {
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
        ("partitions", partition_table(topic).to_json()),
    ])
}

fn partition_table(topic: &Topic) -> Table {
    let ids = |nodes: &[NodeId]| nodes.iter().map(|node| node.0).collect::<Vec<_>>();
    let columns = [
        "partition",
        "leader",
        "leader_epoch",
        "replicas",
        "isr",
        "offline",
    ];
    let mut table = Table::new(columns);
    for partition in &topic.partitions {
        table.push(vec![
            json!(partition.index.0),
            json!(partition.leader.map(|node| node.0)),
            json!(partition.leader_epoch.0),
            json!(ids(&partition.replicas)),
            json!(ids(&partition.isr)),
            json!(ids(&partition.offline)),
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
