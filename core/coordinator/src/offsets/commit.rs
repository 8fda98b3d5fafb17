//! OffsetCommit.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::{ErrorCode, mutant};

use crate::classic::{ClassicGroup, State, start_session};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::{Record, Waiter};
use crate::record::{CoordinatorRecord, OffsetValue};
use crate::request::{CommitOffsets, CommittedPartition, OffsetsFence};
use crate::response::GroupResponse;
use crate::step::{Step, batch_bytes, record_bytes};

/// First version whose clients know GROUP_ID_NOT_FOUND in a commit.
const KNOWS_GROUP_ID_NOT_FOUND: i16 = 9;

impl GroupCoordinator {
    /// OffsetCommit. Commits of a member are heartbeats too.
    pub(crate) fn commit_offsets(
        &mut self,
        step: &mut Step<'_>,
        waiter: Waiter,
        request: &CommitOffsets,
    ) {
        let codes = match self.check_commit(step, request) {
            Ok(()) => self.commit_partitions(step, request),
            Err(error) => vec![error; request.partitions.len()],
        };
        step.reply(waiter, GroupResponse::CommitOffsets(codes));
    }

    fn check_commit(&mut self, step: &Step<'_>, request: &CommitOffsets) -> Result<(), ErrorCode> {
        if mutant!(StaleMemberCommits) {
            return Ok(());
        }
        let fence = &request.fence;
        match self.groups.get(request.group_id.as_str()) {
            Some(Group::Consumer(group)) => group.check_commit(request),
            Some(Group::Classic(group)) => {
                group.check_commit(fence)?;
                self.hear_of_committer(step, &request.group_id, &fence.member_id);
                Ok(())
            }
            // No member of a group commits: replaying the offsets makes a group that only keeps them.
            None if fence.generation_or_epoch < 0 => Ok(()),
            None if request.api_version >= KNOWS_GROUP_ID_NOT_FOUND => {
                Err(ErrorCode::GroupIdNotFound)
            }
            None => Err(ErrorCode::IllegalGeneration),
        }
    }

    fn hear_of_committer(&mut self, step: &Step<'_>, group_id: &str, member_id: &str) {
        if let Some((group, timers)) = self.classic_mut(group_id)
            && matches!(group.state(), State::Stable | State::PreparingRebalance)
        {
            start_session(step, group, timers, member_id);
        }
    }

    fn commit_partitions(
        &mut self,
        step: &mut Step<'_>,
        request: &CommitOffsets,
    ) -> Vec<ErrorCode> {
        let mut codes = Vec::with_capacity(request.partitions.len());
        let mut records = Vec::new();
        let mut topics: BTreeMap<&str, Arc<str>> = BTreeMap::new();
        let group_id: Arc<str> = match self.groups.get_key_value(request.group_id.as_str()) {
            Some((group_id, _)) => Arc::clone(group_id),
            None => request.group_id.as_str().into(),
        };
        for partition in &request.partitions {
            let code = self.check_partition(request, partition).err();
            codes.push(code.unwrap_or(ErrorCode::None));
            if code.is_none() {
                let topic = (topics.entry(&partition.topic))
                    .or_insert_with(|| partition.topic.as_str().into());
                records.push(CoordinatorRecord::OffsetCommit {
                    group_id: Arc::clone(&group_id),
                    topic: Arc::clone(topic),
                    partition: partition.partition,
                    value: Some(committed(step, request, partition)),
                });
            }
        }
        let encoded: Vec<Record> = records.iter().map(CoordinatorRecord::encode).collect();
        let before = batch_bytes(&step.out.records);
        let bytes = encoded
            .iter()
            .map(record_bytes)
            .fold(before, usize::saturating_add);
        if bytes > self.config.max_batch_bytes {
            return vec![ErrorCode::UnknownServerError; request.partitions.len()];
        }
        for (record, encoded) in records.into_iter().zip(encoded) {
            self.emit_encoded(step, record, encoded);
        }
        codes
    }

    fn check_partition(
        &self,
        request: &CommitOffsets,
        partition: &CommittedPartition,
    ) -> Result<(), ErrorCode> {
        if partition.metadata.len() > self.config.offset_metadata_max_bytes {
            return Err(ErrorCode::OffsetMetadataTooLarge);
        }
        match self.groups.get(request.group_id.as_str()) {
            Some(Group::Consumer(group)) if !mutant!(StaleMemberCommits) => {
                group.check_commit_partition(&request.fence, partition)
            }
            Some(Group::Consumer(_) | Group::Classic(_)) | None => Ok(()),
        }
    }
}

fn committed(
    step: &Step<'_>,
    request: &CommitOffsets,
    partition: &CommittedPartition,
) -> OffsetValue {
    let commit_ms = step.now.wall_ms;
    let retention_ms = request.retention_ms.filter(|ms| *ms != -1);
    OffsetValue {
        offset: partition.offset,
        leader_epoch: partition.leader_epoch,
        metadata: partition.metadata.as_str().into(),
        commit_ms,
        expire_ms: retention_ms.map(|ms| commit_ms.saturating_add(ms)),
        topic_id: partition.topic_id,
    }
}

impl ClassicGroup {
    fn check_commit(&self, fence: &OffsetsFence) -> Result<(), ErrorCode> {
        let generation = fence.generation_or_epoch;
        let instance_id = fence.group_instance_id.as_deref();
        if self.is_empty() && generation < 0 {
            return Ok(());
        }
        if generation < 0 && fence.member_id.is_empty() && instance_id.is_none() {
            // Whoever is no member may commit only where there are none.
            return Err(ErrorCode::UnknownMemberId);
        }
        self.check_member(&fence.member_id, instance_id)?;
        if generation != self.generation() {
            return Err(ErrorCode::IllegalGeneration);
        }
        if self.state() == State::CompletingRebalance {
            return Err(ErrorCode::RebalanceInProgress);
        }
        Ok(())
    }
}
