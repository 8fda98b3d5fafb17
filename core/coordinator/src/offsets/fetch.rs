//! OffsetFetch.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::{ErrorCode, Offset};

use super::GroupOffsets;
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::record::OffsetValue;
use crate::request::FetchOffsets;
use crate::response::{FetchedOffset, FetchedTopic, GroupResponse};
use crate::step::Step;

impl GroupCoordinator {
    /// OffsetFetch. A group that does not exist has no offsets, and that is no error.
    pub(crate) fn fetch_offsets(
        &self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &FetchOffsets,
    ) {
        let response = match self.check_fetch(request) {
            Ok(()) => GroupResponse::FetchOffsets(ErrorCode::None, self.fetched(request)),
            Err(error) => GroupResponse::FetchOffsets(error, Vec::new()),
        };
        step.reply(waiter, response);
    }

    fn check_fetch(&self, request: &FetchOffsets) -> Result<(), ErrorCode> {
        match (self.groups.get(request.group_id.as_str()), &request.fence) {
            (Some(Group::Consumer(group)), Some(fence)) => group.check_fetch(fence),
            (Some(Group::Consumer(_) | Group::Classic(_)) | None, _) => Ok(()),
        }
    }

    fn fetched(&self, request: &FetchOffsets) -> Vec<FetchedTopic> {
        let none = GroupOffsets::new();
        let offsets = self.offsets.of_group(&request.group_id).unwrap_or(&none);
        let Some(topics) = &request.topics else {
            let topic = |(topic, kept): (&Arc<str>, &BTreeMap<i32, OffsetValue>)| {
                self.fetched_topic(request, topic, kept.keys().copied(), Some(kept))
            };
            return offsets.iter().map(topic).collect();
        };
        let topic = |(topic, wanted): &(String, Vec<i32>)| {
            let kept = offsets.get(topic.as_str());
            self.fetched_topic(request, topic, wanted.iter().copied(), kept)
        };
        topics.iter().map(topic).collect()
    }

    fn fetched_topic(
        &self,
        request: &FetchOffsets,
        topic: &str,
        wanted: impl Iterator<Item = i32>,
        kept: Option<&BTreeMap<i32, OffsetValue>>,
    ) -> FetchedTopic {
        let offset = |partition| {
            let unstable = request.require_stable
                && (self.offsets).is_unstable(&request.group_id, topic, partition);
            if unstable {
                return no_offset(partition, ErrorCode::UnstableOffsetCommit);
            }
            match kept.and_then(|kept| kept.get(&partition)) {
                Some(value) => FetchedOffset {
                    partition,
                    offset: value.offset,
                    leader_epoch: value.leader_epoch,
                    metadata: value.metadata.to_string(),
                    error: ErrorCode::None,
                },
                None => no_offset(partition, ErrorCode::None),
            }
        };
        FetchedTopic {
            topic: topic.to_owned(),
            partitions: wanted.map(offset).collect(),
        }
    }
}

const fn no_offset(partition: i32, error: ErrorCode) -> FetchedOffset {
    FetchedOffset {
        partition,
        offset: Offset(-1),
        leader_epoch: -1,
        metadata: String::new(),
        error,
    }
}
