//! OffsetCommit, OffsetFetch and ListOffsets as requests and verdicts, for whoever sends them.

use chronik_model::ErrorCode;
use chronik_protocol::messages::list_offsets_request::{ListOffsetsPartition, ListOffsetsTopic};
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use chronik_protocol::messages::offset_fetch_request::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use chronik_protocol::messages::{
    GroupId, ListOffsetsRequest, ListOffsetsResponse, OffsetCommitRequest, OffsetCommitResponse,
    OffsetDeleteRequest, OffsetDeleteResponse, OffsetFetchRequest, OffsetFetchResponse, StrBytes,
};

use super::catalog::{Catalog, Spot};
use crate::history::{End, Place};

/// Who commits or asks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Member id; empty without membership.
    pub member: String,
    /// `group.instance.id` of static members.
    pub instance: Option<String>,
    /// Generation or member epoch; -1 without membership.
    pub epoch: i32,
}

impl Credentials {
    /// Those of somebody who is no member.
    #[must_use]
    pub fn outsider() -> Self {
        Self {
            epoch: -1,
            ..Self::default()
        }
    }
}

/// The name of a group by its number.
#[must_use]
pub fn group_name(group: u16) -> StrBytes {
    StrBytes::from_string(format!("group-{group}"))
}

/// A commit of these offsets, all of lasting topics.
#[must_use]
pub fn commit_request(
    (group, version): (u16, i16),
    who: &Credentials,
    offsets: &[(Spot, i64)],
    catalog: &Catalog,
) -> OffsetCommitRequest {
    let of_topic = offsets.chunk_by(|one, other| one.0.plan == other.0.plan);
    let topics = of_topic.filter_map(|parts| {
        let plan = parts.first()?.0.plan;
        let partitions = parts.iter().map(|(spot, offset)| {
            OffsetCommitRequestPartition::default()
                .with_partition_index(spot.place.partition)
                .with_committed_offset(*offset)
                .with_committed_metadata(Some(StrBytes::default()))
        });
        let topic = OffsetCommitRequestTopic::default()
            .with_name(catalog.name(plan))
            .with_partitions(partitions.collect());
        Some(topic)
    });
    let mut request = OffsetCommitRequest::default()
        .with_group_id(GroupId(group_name(group)))
        .with_member_id(StrBytes::from_string(who.member.clone()))
        .with_generation_id_or_member_epoch(who.epoch)
        .with_topics(topics.collect());
    if version >= FIRST_WITH_INSTANCES {
        request.group_instance_id = who.instance.clone().map(StrBytes::from_string);
    }
    request
}

/// How a commit ended, and the first error in it. `Err` for codes that no broker may give here.
///
/// # Errors
/// What is wrong with the answer.
pub fn commit_end(response: &OffsetCommitResponse) -> Result<(End<()>, i16), String> {
    let parts = response.topics.iter().flat_map(|topic| &topic.partitions);
    let codes: Vec<i16> = parts.map(|part| part.error_code).collect();
    let first = codes.first().copied().unwrap_or(0);
    let failed = codes.iter().find(|code| **code != 0).copied().unwrap_or(0);
    let error = ErrorCode::from_code(failed);
    let known = error.filter(|error| {
        error.is_none() || COMMIT_REFUSED.contains(error) || COMMIT_UNKNOWN.contains(error)
    });
    let error = known.ok_or_else(|| format!("OffsetCommit answers with error {failed}"))?;
    if codes.iter().any(|code| *code != first) {
        return Ok((End::Unknown, failed));
    }
    let end = if error.is_none() {
        End::Done(())
    } else if COMMIT_REFUSED.contains(&error) {
        End::Refused(failed)
    } else {
        End::Unknown
    };
    Ok((end, failed))
}

/// Takes back what a group without members has committed for a partition.
#[must_use]
pub fn forget_request(group: u16, spot: Spot, catalog: &Catalog) -> OffsetDeleteRequest {
    let partition =
        OffsetDeleteRequestPartition::default().with_partition_index(spot.place.partition);
    let topic = OffsetDeleteRequestTopic::default()
        .with_name(catalog.name(spot.plan))
        .with_partitions(vec![partition]);
    OffsetDeleteRequest::default()
        .with_group_id(GroupId(group_name(group)))
        .with_topics(vec![topic])
}

/// How it ended that a commit was taken back.
#[must_use]
pub fn forgotten(response: &OffsetDeleteResponse) -> End<()> {
    let parts = response.topics.iter().flat_map(|topic| &topic.partitions);
    let mut codes = parts.map(|part| part.error_code).peekable();
    let is_done = response.error_code == 0 && codes.peek().is_some() && codes.all(|code| code == 0);
    if is_done { End::Done(()) } else { End::Unknown }
}

/// Asks what a group has committed for these partitions. A member may say who it is from v9 on.
#[must_use]
pub fn committed_request(
    (group, version): (u16, i16),
    member: Option<&Credentials>,
    spots: &[Spot],
    catalog: &Catalog,
) -> OffsetFetchRequest {
    let of_topic = spots.chunk_by(|one, other| one.plan == other.plan);
    let topics = of_topic.filter_map(|parts| {
        let partitions = parts.iter().map(|spot| spot.place.partition);
        Some((
            catalog.name(parts.first()?.plan),
            partitions.collect::<Vec<_>>(),
        ))
    });
    let group_id = GroupId(group_name(group));
    if version < FIRST_WITH_GROUPS {
        let topics = topics.map(|(name, partitions)| {
            OffsetFetchRequestTopic::default()
                .with_name(name)
                .with_partition_indexes(partitions)
        });
        return OffsetFetchRequest::default()
            .with_group_id(group_id)
            .with_topics(Some(topics.collect()));
    }
    let topics = topics.map(|(name, partitions)| {
        OffsetFetchRequestTopics::default()
            .with_name(name)
            .with_partition_indexes(partitions)
    });
    let mut wanted = OffsetFetchRequestGroup::default()
        .with_group_id(group_id)
        .with_topics(Some(topics.collect()));
    if let Some(member) = member.filter(|_| version >= FIRST_WITH_MEMBERS) {
        wanted.member_id = Some(StrBytes::from_string(member.member.clone()));
        wanted.member_epoch = member.epoch;
    }
    OffsetFetchRequest::default().with_groups(vec![wanted])
}

/// The committed offsets of those that were asked for, -1 for none; or the first error.
///
/// # Errors
/// The code of the first error, of the whole or of a part.
pub fn committed(
    response: &OffsetFetchResponse,
    spots: &[Spot],
    catalog: &Catalog,
) -> Result<Vec<(Place, i64)>, i16> {
    let mut found: Vec<(&str, i32, i64, i16)> = Vec::new();
    let mut errors = vec![response.error_code];
    for topic in &response.topics {
        let parts = topic.partitions.iter();
        found.extend(parts.map(|it| {
            let (index, offset) = (it.partition_index, it.committed_offset);
            (&**topic.name, index, offset, it.error_code)
        }));
    }
    for group in &response.groups {
        errors.push(group.error_code);
        for topic in &group.topics {
            let parts = topic.partitions.iter();
            found.extend(parts.map(|it| {
                let (index, offset) = (it.partition_index, it.committed_offset);
                (&**topic.name, index, offset, it.error_code)
            }));
        }
    }
    errors.extend(found.iter().map(|(_, _, _, error)| *error));
    if let Some(error) = errors.into_iter().find(|error| *error != 0) {
        return Err(error);
    }
    let of_spot = spots.iter().filter_map(|spot| {
        let name = catalog.name(spot.plan);
        let is_it = |(topic, index, ..): &&(&str, i32, i64, i16)| {
            *topic == &**name && *index == spot.place.partition
        };
        let (_, _, offset, _) = found.iter().find(is_it)?;
        Some((spot.place, *offset))
    });
    Ok(of_spot.collect())
}

/// Asks for the offset of one timestamp, or one of the special ones, in partitions of lasting
/// topics.
#[must_use]
pub fn list_request(timestamp: i64, spots: &[Spot], catalog: &Catalog) -> ListOffsetsRequest {
    let of_topic = spots.chunk_by(|one, other| one.plan == other.plan);
    let topics = of_topic.filter_map(|parts| {
        let partitions = parts.iter().map(|spot| {
            ListOffsetsPartition::default()
                .with_partition_index(spot.place.partition)
                .with_timestamp(timestamp)
        });
        let topic = ListOffsetsTopic::default()
            .with_name(catalog.name(parts.first()?.plan))
            .with_partitions(partitions.collect());
        Some(topic)
    });
    ListOffsetsRequest::default().with_topics(topics.collect())
}

/// Error and offset of each partition, in the order of the question.
#[must_use]
pub fn listed(response: &ListOffsetsResponse) -> Vec<(i16, i64)> {
    let parts = response.topics.iter().flat_map(|topic| &topic.partitions);
    parts.map(|part| (part.error_code, part.offset)).collect()
}

const FIRST_WITH_INSTANCES: i16 = 7;
const FIRST_WITH_GROUPS: i16 = 8;
const FIRST_WITH_MEMBERS: i16 = 9;

/// Decided before anything is written.
const COMMIT_REFUSED: [ErrorCode; 10] = [
    ErrorCode::UnknownTopicOrPartition,
    ErrorCode::CoordinatorLoadInProgress,
    ErrorCode::IllegalGeneration,
    ErrorCode::UnknownMemberId,
    ErrorCode::RebalanceInProgress,
    ErrorCode::FencedInstanceId,
    ErrorCode::StaleMemberEpoch,
    ErrorCode::GroupIdNotFound,
    ErrorCode::UnsupportedVersion,
    ErrorCode::OffsetMetadataTooLarge,
];

/// The coordinator may have written the offsets before it went away.
const COMMIT_UNKNOWN: [ErrorCode; 4] = [
    ErrorCode::CoordinatorNotAvailable,
    ErrorCode::NotCoordinator,
    ErrorCode::RequestTimedOut,
    ErrorCode::UnknownServerError,
];

#[cfg(test)]
mod tests {
    use super::*;
    use chronik_protocol::messages::offset_commit_response::{
        OffsetCommitResponsePartition, OffsetCommitResponseTopic,
    };

    #[test]
    fn a_commit_ends_as_all_of_its_parts_did() {
        let cases: [(&[i16], _); 6] = [
            (&[0, 0], Some(End::Done(()))),
            (&[22, 22], Some(End::Refused(22))),
            (&[0, 3], Some(End::Unknown)),
            (&[3, 0], Some(End::Unknown)),
            (&[15], Some(End::Unknown)),
            (&[87], None),
        ];
        for (codes, expected) in cases {
            let part = |code: &i16| OffsetCommitResponsePartition::default().with_error_code(*code);
            let topic = OffsetCommitResponseTopic::default()
                .with_partitions(codes.iter().map(part).collect());
            let response = OffsetCommitResponse::default().with_topics(vec![topic]);
            let end = commit_end(&response).ok().map(|(end, _)| end);
            assert_eq!(end, expected, "{codes:?}");
        }
    }
}
