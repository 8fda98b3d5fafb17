//! `group describe`: state, members and lag.

use std::collections::BTreeMap;
use std::io::Write;

use chronik_model::{ErrorCode, PartitionIndex, TopicName};
use chronik_protocol::messages::consumer_group_describe_response as consumer;
use chronik_protocol::messages::describe_groups_response as classic;
use chronik_protocol::messages::{
    ConsumerGroupDescribeRequest, ConsumerProtocolAssignment, Decodable, DescribeGroupsRequest,
};
use serde_json::{Value, json};

use super::{Committed, call_coordinator, committed, wire_group};
use crate::args::OutputFormat;
use crate::client::{Client, IfMissing};
use crate::error::CliError;
use crate::offsets::{LATEST, list_offset};
use crate::output::{Table, object, write_json};

/// A group as either protocol tells it.
struct Group {
    name: String,
    kind: &'static str,
    state: String,
    assignor: String,
    members: Vec<Member>,
}

struct Member {
    id: String,
    client_id: String,
    host: String,
    /// Topic names and partitions; empty where the protocol is not the consumers'.
    assigned: Vec<(String, i32)>,
}

/// One partition of a group.
struct Row {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    end: Option<i64>,
    member: Option<usize>,
}

pub(super) fn run(
    groups: &[String],
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let mut described = Vec::with_capacity(groups.len());
    for name in groups {
        let group = describe(client, name)?;
        let offsets = committed(client, name)?;
        let rows = rows(client, &group, &offsets)?;
        described.push((group, rows));
    }
    match format {
        OutputFormat::Json => {
            let all = described.iter().map(|(group, rows)| to_json(group, rows));
            write_json(&Value::Array(all.collect()), out)?;
        }
        OutputFormat::Table => {
            for (number, (group, rows)) in described.iter().enumerate() {
                if number > 0 {
                    writeln!(out)?;
                }
                write_group(group, rows, out)?;
            }
        }
    }
    Ok(())
}

/// Asks in the classic way first, which every broker knows; groups of the new protocol (KIP-848)
/// are not there for it.
fn describe(client: &mut Client, name: &str) -> Result<Group, CliError> {
    let mut request = DescribeGroupsRequest::default();
    request.groups = vec![wire_group(name)];
    let answer = call_coordinator(client, name, &request, |answer| {
        answer.groups.iter().map(|group| group.error_code).collect()
    })?;
    let what = || format!("describe group {name}");
    let missing = ErrorCode::GroupIdNotFound.code();
    let Some(group) = answer.groups.into_iter().next() else {
        return Err(CliError::refused(what(), missing, None));
    };
    if group.error_code == ErrorCode::None.code() && &*group.group_state != "Dead" {
        return Ok(of_classic(name, &group));
    }
    if group.error_code != ErrorCode::None.code() && group.error_code != missing {
        let message = group.error_message.as_deref();
        return Err(CliError::refused(what(), group.error_code, message));
    }
    match describe_consumer(client, name) {
        Ok(group) => Ok(group),
        // An older broker has no such groups, so there is none of that name.
        Err(CliError::Unsupported { .. }) => Err(CliError::refused(what(), missing, None)),
        Err(error) => Err(error),
    }
}

fn describe_consumer(client: &mut Client, name: &str) -> Result<Group, CliError> {
    let mut request = ConsumerGroupDescribeRequest::default();
    request.group_ids = vec![wire_group(name)];
    let answer = call_coordinator(client, name, &request, |answer| {
        answer.groups.iter().map(|group| group.error_code).collect()
    })?;
    match answer.groups.into_iter().next() {
        Some(group) if group.error_code == ErrorCode::None.code() => Ok(of_consumer(name, &group)),
        Some(group) => {
            let message = group.error_message.as_deref();
            let what = format!("describe group {name}");
            Err(CliError::refused(what, group.error_code, message))
        }
        None => Err(CliError::refused(
            format!("describe group {name}"),
            ErrorCode::GroupIdNotFound.code(),
            None,
        )),
    }
}

fn of_classic(name: &str, group: &classic::DescribedGroup) -> Group {
    let is_consumer = &*group.protocol_type == "consumer";
    let member = |member: &classic::DescribedGroupMember| Member {
        id: member.member_id.to_string(),
        client_id: member.client_id.to_string(),
        host: member.client_host.to_string(),
        assigned: match is_consumer {
            true => assignment(&member.member_assignment).unwrap_or_default(),
            false => Vec::new(),
        },
    };
    Group {
        name: name.to_owned(),
        kind: "classic",
        state: group.group_state.to_string(),
        assignor: group.protocol_data.to_string(),
        members: group.members.iter().map(member).collect(),
    }
}

/// Partitions in the bytes that consumers send each other, two bytes of version first. Bytes that
/// say nothing to us are somebody else's business.
pub(crate) fn assignment(bytes: &bytes::Bytes) -> Option<Vec<(String, i32)>> {
    let (version, mut rest) = bytes.split_first_chunk::<2>()?;
    let newest = 3;
    let version = i16::from_be_bytes(*version).clamp(0, newest);
    let decoded = ConsumerProtocolAssignment::decode(&mut rest, version).ok()?;
    let topics = decoded.assigned_partitions.iter();
    let partitions = topics.flat_map(|topic| {
        topic
            .partitions
            .iter()
            .map(|index| (topic.topic.to_string(), *index))
    });
    Some(partitions.collect())
}

fn of_consumer(name: &str, group: &consumer::DescribedGroup) -> Group {
    let member = |member: &consumer::Member| {
        let topics = member.assignment.topic_partitions.iter();
        let assigned = topics.flat_map(|topic| {
            topic
                .partitions
                .iter()
                .map(|index| (topic.topic_name.to_string(), *index))
        });
        Member {
            id: member.member_id.to_string(),
            client_id: member.client_id.to_string(),
            host: member.client_host.to_string(),
            assigned: assigned.collect(),
        }
    };
    Group {
        name: name.to_owned(),
        kind: "consumer",
        state: group.group_state.to_string(),
        assignor: group.assignor_name.to_string(),
        members: group.members.iter().map(member).collect(),
    }
}

/// What was committed and what is assigned, with the ends of the partitions.
fn rows(client: &mut Client, group: &Group, offsets: &[Committed]) -> Result<Vec<Row>, CliError> {
    let mut known: BTreeMap<(String, i32), (Option<i64>, Option<usize>)> = BTreeMap::new();
    for offset in offsets {
        let key = (offset.topic.to_string(), offset.partition);
        known.entry(key).or_default().0 = Some(offset.offset);
    }
    for (number, member) in group.members.iter().enumerate() {
        for assigned in &member.assigned {
            known.entry(assigned.clone()).or_default().1 = Some(number);
        }
    }
    let mut rows = Vec::with_capacity(known.len());
    for ((topic, partition), (committed, member)) in known {
        let end = end_of(client, &topic, partition)?;
        rows.push(Row {
            topic,
            partition,
            committed,
            end,
            member,
        });
    }
    Ok(rows)
}

/// The end of a partition; none when its topic is gone.
fn end_of(client: &mut Client, topic: &str, partition: i32) -> Result<Option<i64>, CliError> {
    let Ok(name) = TopicName::new(topic) else {
        return Ok(None);
    };
    let exists = match client.topic(&name, IfMissing::Fail) {
        Ok(topic) => topic
            .partitions
            .iter()
            .any(|known| known.index.0 == partition),
        Err(CliError::Refused { .. }) => false,
        Err(error) => return Err(error),
    };
    if !exists {
        return Ok(None);
    }
    list_offset(client, &name, PartitionIndex(partition), LATEST).map(|end| Some(end.0))
}

impl Row {
    /// Records behind the committed offset.
    fn lag(&self) -> Option<i64> {
        let (committed, end) = self.committed.zip(self.end)?;
        Some((end - committed).max(0))
    }
}

fn table(group: &Group, rows: &[Row]) -> Table {
    let columns = [
        "topic",
        "partition",
        "committed",
        "end",
        "lag",
        "member",
        "client_id",
        "host",
    ];
    let mut table = Table::new(columns);
    for row in rows {
        let member = row.member.and_then(|number| group.members.get(number));
        table.push(vec![
            json!(row.topic),
            json!(row.partition),
            json!(row.committed),
            json!(row.end),
            json!(row.lag()),
            json!(member.map(|member| &member.id)),
            json!(member.map(|member| &member.client_id)),
            json!(member.map(|member| &member.host)),
        ]);
    }
    table
}

fn write_group(group: &Group, rows: &[Row], out: &mut dyn Write) -> Result<(), CliError> {
    let lag: i64 = rows.iter().filter_map(Row::lag).sum();
    writeln!(out, "group     {}", group.name)?;
    writeln!(out, "type      {}", group.kind)?;
    writeln!(out, "state     {}", group.state)?;
    if !group.assignor.is_empty() {
        writeln!(out, "assignor  {}", group.assignor)?;
    }
    writeln!(out, "members   {}", group.members.len())?;
    writeln!(out, "lag       {lag}")?;
    if !rows.is_empty() {
        writeln!(out)?;
        table(group, rows).write_text(out)?;
    }
    Ok(())
}

fn to_json(group: &Group, rows: &[Row]) -> Value {
    let member = |member: &Member| {
        object([
            ("member", json!(member.id)),
            ("client_id", json!(member.client_id)),
            ("host", json!(member.host)),
            ("partitions", json!(member.assigned.len())),
        ])
    };
    object([
        ("group", json!(group.name)),
        ("type", json!(group.kind)),
        ("state", json!(group.state)),
        ("assignor", json!(group.assignor)),
        ("lag", json!(rows.iter().filter_map(Row::lag).sum::<i64>())),
        ("members", group.members.iter().map(member).collect()),
        ("partitions", table(group, rows).to_json()),
    ])
}
