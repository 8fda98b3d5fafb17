//! What the leader of a group decides: for each topic, members in the order of their ids get runs of
//! partitions, the first ones one more where they do not divide evenly.

use std::collections::BTreeMap;

use bytes::{BufMut, Bytes, BytesMut};
use chronik_model::TopicName;
use chronik_protocol::messages::consumer_protocol_assignment::TopicPartition;
use chronik_protocol::messages::join_group_response::JoinGroupResponseMember;
use chronik_protocol::messages::{
    self, ConsumerProtocolAssignment, ConsumerProtocolSubscription, Decodable, Encodable, StrBytes,
};

use crate::client::{Client, IfMissing};
use crate::error::CliError;

type Assignment = BTreeMap<String, Vec<i32>>;

/// The assignment of each member, as SyncGroup carries it.
pub(super) fn by_range(
    client: &mut Client,
    members: &[JoinGroupResponseMember],
) -> Result<Vec<(StrBytes, Bytes)>, CliError> {
    let mut subscribers: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for member in members {
        for topic in subscribed(&member.metadata) {
            subscribers
                .entry(topic)
                .or_default()
                .push(&member.member_id);
        }
    }
    let mut assigned: BTreeMap<&str, Assignment> = BTreeMap::new();
    for (topic, subscribers) in &subscribers {
        let partitions = partition_count(client, topic)?;
        for (member, range) in ranges(subscribers, partitions) {
            let topics = assigned.entry(member).or_default();
            topics.insert(topic.clone(), range.collect());
        }
    }
    let encoded = members.iter().map(|member| {
        let none = Assignment::new();
        let topics = assigned.get(&*member.member_id).unwrap_or(&none);
        (member.member_id.clone(), encode(topics))
    });
    Ok(encoded.collect())
}

/// Runs of partitions for members; those behind the last partition get none.
fn ranges<'a>(members: &[&'a str], partitions: i32) -> Vec<(&'a str, std::ops::Range<i32>)> {
    let mut members = members.to_vec();
    members.sort_unstable();
    let count = i32::try_from(members.len()).unwrap_or(i32::MAX).max(1);
    let (each, more) = (partitions / count, partitions % count);
    let mut start = 0;
    let mut ranges = Vec::with_capacity(members.len());
    for (member, number) in members.into_iter().zip(0..) {
        let end = start + each + i32::from(number < more);
        ranges.push((member, start..end));
        start = end;
    }
    ranges
}

fn subscribed(metadata: &Bytes) -> Vec<String> {
    let Some((version, mut rest)) = metadata.split_first_chunk::<2>() else {
        return Vec::new();
    };
    let newest = 3;
    let version = i16::from_be_bytes(*version).clamp(0, newest);
    let decoded = ConsumerProtocolSubscription::decode(&mut rest, version);
    let topics = decoded.map(|subscription| subscription.topics);
    let names = topics.unwrap_or_default();
    names.iter().map(ToString::to_string).collect()
}

/// A topic that is not there has no partitions to assign.
fn partition_count(client: &mut Client, topic: &str) -> Result<i32, CliError> {
    let Ok(name) = TopicName::new(topic) else {
        return Ok(0);
    };
    match client.topic(&name, IfMissing::Fail) {
        Ok(topic) => Ok(i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX)),
        Err(CliError::Refused { .. }) => Ok(0),
        Err(error) => Err(error),
    }
}

fn encode(topics: &Assignment) -> Bytes {
    const VERSION: i16 = 0;
    let mut assignment = ConsumerProtocolAssignment::default();
    for (topic, partitions) in topics {
        let mut assigned = TopicPartition::default();
        assigned.topic = messages::TopicName(StrBytes::from_string(topic.clone()));
        assigned.partitions.clone_from(partitions);
        assignment.assigned_partitions.push(assigned);
    }
    let mut bytes = BytesMut::new();
    bytes.put_i16(VERSION);
    // Names and counts come from the cluster's own metadata and fit.
    drop(assignment.encode(&mut bytes, VERSION));
    bytes.freeze()
}

#[cfg(test)]
mod tests {
    use super::ranges;

    #[test]
    fn ranges_are_even_and_in_the_order_of_ids() {
        let check =
            |members: &[&str], partitions: i32, expected: &[(&str, std::ops::Range<i32>)]| {
                assert_eq!(
                    ranges(members, partitions),
                    expected,
                    "{members:?} {partitions}"
                );
            };
        check(&["b", "a"], 4, &[("a", 0..2), ("b", 2..4)]);
        check(
            &["a", "b", "c"],
            7,
            &[("a", 0..3), ("b", 3..5), ("c", 5..7)],
        );
        check(
            &["a", "b", "c"],
            2,
            &[("a", 0..1), ("b", 1..2), ("c", 2..2)],
        );
        check(&["a"], 0, &[("a", 0..0)]);
        check(&[], 3, &[]);
    }
}
