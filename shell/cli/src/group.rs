//! `group list|describe|reset-offsets|delete`.

mod describe;
mod reset;

pub(crate) use describe::assignment;

use std::io::Write;

use chronik_model::{ErrorCode, NodeId, TopicName};
use chronik_protocol::messages::{
    DeleteGroupsRequest, FindCoordinatorRequest, GroupId, ListGroupsRequest, OffsetFetchRequest,
    StrBytes,
};
use serde_json::json;

use crate::api::Api;
use crate::args::{GroupCommand, OutputFormat};
use crate::client::{Client, Target};
use crate::error::{CliError, is_transient};
use crate::output::{Outcomes, Table};
use crate::retry::Retry;

/// Runs a `group` command.
pub(crate) fn run(
    command: &GroupCommand,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    match command {
        GroupCommand::List { state } => list(state, client, format, out),
        GroupCommand::Describe { groups } => describe::run(groups, client, format, out),
        GroupCommand::ResetOffsets(args) => reset::run(args, client, format, out),
        GroupCommand::Delete { groups } => delete(groups, client, format, out),
    }
}

fn list(
    states: &[String],
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut request = ListGroupsRequest::default();
    request.states_filter = states.iter().cloned().map(StrBytes::from_string).collect();
    let mut rows = Vec::new();
    for node in client.nodes()? {
        let answer = client.call(Target::Broker(node), &request)?;
        if answer.error_code != ErrorCode::None.code() {
            let what = format!("list the groups of broker {}", node.0);
            return Err(CliError::refused(what, answer.error_code, None));
        }
        rows.extend(answer.groups.into_iter().map(|group| {
            let cells = [group.group_type, group.protocol_type, group.group_state];
            (group.group_id.to_string(), cells)
        }));
    }
    rows.sort();
    let mut table = Table::new(["group", "type", "protocol", "state"]);
    for (group, cells) in rows {
        // Older brokers do not tell type and state.
        let told = |cell: &StrBytes| json!((!cell.is_empty()).then(|| cell.to_string()));
        let mut row = vec![json!(group)];
        row.extend(cells.iter().map(told));
        table.push(row);
    }
    Ok(table.write(format, out)?)
}

fn delete(
    groups: &[String],
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut outcomes = Outcomes::new("group");
    for group in groups {
        let mut request = DeleteGroupsRequest::default();
        request.groups_names = vec![wire_group(group)];
        let answer = call_coordinator(client, group, &request, |answer| {
            answer
                .results
                .iter()
                .map(|result| result.error_code)
                .collect()
        })?;
        for result in &answer.results {
            outcomes.add("delete group", group, "deleted", result.error_code, None);
        }
    }
    outcomes.finish(format, out)
}

/// A group's name as the generated structs want it.
pub(crate) fn wire_group(group: &str) -> GroupId {
    GroupId(StrBytes::from_string(group.to_owned()))
}

/// The broker that coordinates the group.
pub(crate) fn find_coordinator(client: &mut Client, group: &str) -> Result<NodeId, CliError> {
    let mut request = FindCoordinatorRequest::default();
    request.key = StrBytes::from_string(group.to_owned());
    let mut retry = Retry::within(client.timeout());
    loop {
        let answer = client.call(Target::Any, &request)?;
        if answer.error_code == ErrorCode::None.code() {
            return Ok(NodeId(answer.node_id.0));
        }
        if !is_transient(answer.error_code) || !retry.again() {
            let what = format!("find the coordinator of group {group}");
            let message = answer.error_message.as_deref();
            return Err(CliError::refused(what, answer.error_code, message));
        }
    }
}

/// Asks the group's coordinator, and again while it is moving or loading; `codes` are those of the
/// answer.
pub(crate) fn call_coordinator<A: Api>(
    client: &mut Client,
    group: &str,
    request: &A,
    codes: impl Fn(&A::Response) -> Vec<i16>,
) -> Result<A::Response, CliError> {
    let mut retry = Retry::within(client.timeout());
    loop {
        let coordinator = find_coordinator(client, group)?;
        match client.call(Target::Broker(coordinator), request) {
            Ok(answer) => {
                let moving = codes(&answer).iter().any(|code| is_transient(*code));
                if !moving || !retry.again() {
                    return Ok(answer);
                }
            }
            Err(error) if error.nothing_was_sent() && retry.again() => {}
            Err(error) => return Err(error),
        }
    }
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Committed {
    pub(crate) topic: TopicName,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
}

/// Everything that a group has committed, by topic and partition.
pub(crate) fn committed(client: &mut Client, group: &str) -> Result<Vec<Committed>, CliError> {
    let mut request = OffsetFetchRequest::default();
    request.group_id = wire_group(group);
    request.topics = None;
    let answer = call_coordinator(client, group, &request, |answer| vec![answer.error_code])?;
    let what = || format!("read the offsets of group {group}");
    if answer.error_code != ErrorCode::None.code() {
        return Err(CliError::refused(what(), answer.error_code, None));
    }
    let mut found = Vec::new();
    for topic in &answer.topics {
        let name = TopicName::new(&topic.name).map_err(|error| CliError::Refused {
            what: what(),
            why: error.to_string(),
            next: "".into(),
        })?;
        for partition in &topic.partitions {
            if partition.error_code != ErrorCode::None.code() {
                return Err(CliError::refused(what(), partition.error_code, None));
            }
            if partition.committed_offset >= 0 {
                found.push(Committed {
                    topic: name.clone(),
                    partition: partition.partition_index,
                    offset: partition.committed_offset,
                });
            }
        }
    }
    found.sort();
    Ok(found)
}
