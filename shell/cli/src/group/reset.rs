//! `group reset-offsets`: moves a group that nobody is a member of.

use std::io::Write;

use chronik_model::{ErrorCode, Offset, PartitionIndex, TopicName};
use chronik_protocol::messages::OffsetCommitRequest;
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use serde_json::json;

use super::{Committed, call_coordinator, committed, wire_group};
use crate::args::{GroupResetArgs, OutputFormat, ResetTo, TopicSelection};
use crate::client::{Client, IfMissing, no_such_partition, wire_name};
use crate::error::CliError;
use crate::offsets::{EARLIEST, LATEST, list_offset};
use crate::output::Table;

/// One partition and where the group goes.
struct Move {
    topic: TopicName,
    partition: PartitionIndex,
    from: Option<i64>,
    to: Offset,
}

pub(super) fn run(
    args: &GroupResetArgs,
    client: &mut Client,
    format: OutputFormat,
    out: &mut dyn Write,
) -> Result<(), CliError> {
    let offsets = committed(client, &args.group)?;
    let selected = select(args, &offsets, client)?;
    let mut moves = Vec::with_capacity(selected.len());
    for (topic, partition) in selected {
        let known = offsets
            .iter()
            .find(|known| known.topic == topic && known.partition == partition.0);
        let from = known.map(|known| known.offset);
        let to = target(&args.to(), client, &topic, partition, from)?;
        moves.push(Move {
            topic,
            partition,
            from,
            to,
        });
    }
    if args.execute {
        commit(&args.group, &moves, client)?;
    }
    let mut table = Table::new(["topic", "partition", "committed", "new", "result"]);
    for step in &moves {
        table.push(vec![
            json!(step.topic.as_str()),
            json!(step.partition.0),
            json!(step.from),
            json!(step.to.0),
            json!(if args.execute { "reset" } else { "dry run" }),
        ]);
    }
    table.write(format, out)?;
    if !args.execute && format == OutputFormat::Table {
        writeln!(out, "\nNothing was changed. Add --execute to do it.")?;
    }
    Ok(())
}

fn select(
    args: &GroupResetArgs,
    offsets: &[Committed],
    client: &mut Client,
) -> Result<Vec<(TopicName, PartitionIndex)>, CliError> {
    if args.all_topics {
        let all = offsets
            .iter()
            .map(|known| (known.topic.clone(), PartitionIndex(known.partition)));
        return Ok(all.collect());
    }
    let mut selected = Vec::new();
    for TopicSelection { topic, partitions } in &args.topics {
        let known = client.topic(topic, IfMissing::Fail)?;
        let all: Vec<_> = known.partitions.iter().map(|it| it.index).collect();
        for index in partitions {
            if !all.contains(index) {
                return Err(no_such_partition(&known, *index));
            }
        }
        let wanted = if partitions.is_empty() {
            all
        } else {
            partitions.clone()
        };
        selected.extend(wanted.into_iter().map(|index| (topic.clone(), index)));
    }
    Ok(selected)
}

/// The new offset, kept within what the partition has.
fn target(
    to: &ResetTo,
    client: &mut Client,
    topic: &TopicName,
    partition: PartitionIndex,
    from: Option<i64>,
) -> Result<Offset, CliError> {
    let start = list_offset(client, topic, partition, EARLIEST)?;
    let end = list_offset(client, topic, partition, LATEST)?;
    let within = |offset: i64| Offset(offset.clamp(start.0, end.0));
    match to {
        ResetTo::Earliest => Ok(start),
        ResetTo::Latest => Ok(end),
        ResetTo::Offset(offset) => Ok(within(offset.0)),
        ResetTo::Time(time_ms) => {
            let found = list_offset(client, topic, partition, *time_ms)?;
            Ok(if found.0 < 0 { end } else { found })
        }
        ResetTo::Shift(by) => match from {
            Some(from) => Ok(within(from.saturating_add(*by))),
            None => Err(CliError::Usage(format!(
                "{topic} [{}] has no committed offset to shift: use --to-earliest, --to-latest or \
                 --to-offset",
                partition.0
            ))),
        },
    }
}

fn commit(group: &str, moves: &[Move], client: &mut Client) -> Result<(), CliError> {
    let mut request = OffsetCommitRequest::default();
    request.group_id = wire_group(group);
    request.generation_id_or_member_epoch = NO_GENERATION;
    request.retention_time_ms = BROKER_RETENTION;
    for step in moves {
        let mut partition = OffsetCommitRequestPartition::default();
        partition.partition_index = step.partition.0;
        partition.committed_offset = step.to.0;
        partition.committed_leader_epoch = -1;
        partition.committed_metadata = Some(Default::default());
        let name = wire_name(&step.topic);
        match request.topics.last_mut().filter(|topic| topic.name == name) {
            Some(topic) => topic.partitions.push(partition),
            None => {
                let mut topic = OffsetCommitRequestTopic::default();
                topic.name = name;
                topic.partitions = vec![partition];
                request.topics.push(topic);
            }
        }
    }
    let answer = call_coordinator(client, group, &request, |answer| {
        let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
        partitions.map(|partition| partition.error_code).collect()
    })?;
    let partitions = answer.topics.iter().flat_map(|topic| &topic.partitions);
    let failed = partitions
        .map(|partition| partition.error_code)
        .find(|code| *code != ErrorCode::None.code());
    match failed {
        None => Ok(()),
        // A group with members answers so: they would overwrite what is set here.
        Some(code) if code == ErrorCode::UnknownMemberId.code() => Err(CliError::Refused {
            what: format!("reset the offsets of group {group}"),
            why: "it has members".to_owned(),
            next: ". Stop its consumers first; see them with: group describe".into(),
        }),
        Some(code) => {
            let what = format!("reset the offsets of group {group}");
            Err(CliError::refused(what, code, None))
        }
    }
}

/// A commit by no member.
const NO_GENERATION: i32 = -1;
/// As long as the broker keeps offsets.
const BROKER_RETENTION: i64 = -1;
