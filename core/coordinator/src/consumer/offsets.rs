//! Who may commit and fetch offsets of a consumer group.

use chronik_model::ErrorCode;

use crate::consumer::ConsumerGroup;
use crate::consumer::member::Member;
use crate::request::{CommitOffsets, CommittedPartition, OffsetsFence};

/// First version of OffsetCommit that members of the consumer protocol may use.
const COMMIT_BY_EPOCH: i16 = 9;

impl ConsumerGroup {
    /// Checks a whole commit.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a classic member;
    /// UNSUPPORTED_VERSION.
    pub(crate) fn check_commit(&self, request: &CommitOffsets) -> Result<(), ErrorCode> {
        let epoch = request.fence.generation_or_epoch;
        // An administrator, or a consumer that assigns itself.
        if epoch < 0 && self.members.is_empty() {
            return Ok(());
        }
        let member = self.fenced(&request.fence)?;
        if !member.uses_classic_protocol() && request.api_version < COMMIT_BY_EPOCH {
            return Err(ErrorCode::UnsupportedVersion);
        }
        if epoch > member.current.epoch {
            return Err(stale(member));
        }
        Ok(())
    }

    /// Checks one partition of a commit that passed [`ConsumerGroup::check_commit`]: a member that
    /// has not heard of its newest epoch may commit what it was given before (KIP-1251).
    ///
    /// # Errors
    /// STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a classic member.
    pub(crate) fn check_commit_partition(
        &self,
        fence: &OffsetsFence,
        partition: &CommittedPartition,
    ) -> Result<(), ErrorCode> {
        let Some(member) = self.members.get(&*fence.member_id) else {
            return Ok(());
        };
        let current = &member.current;
        if fence.generation_or_epoch == current.epoch {
            return Ok(());
        }
        let given = [&current.assigned, &current.pending_revocation]
            .into_iter()
            .find_map(|owned| owned.get(&partition.topic_id)?.get(&partition.partition));
        match given {
            Some(given) if fence.generation_or_epoch >= *given => Ok(()),
            Some(_) | None => Err(stale(member)),
        }
    }

    /// Checks a fetch that says who asks.
    ///
    /// # Errors
    /// UNKNOWN_MEMBER_ID; STALE_MEMBER_EPOCH, or ILLEGAL_GENERATION for a classic member.
    pub(crate) fn check_fetch(&self, fence: &OffsetsFence) -> Result<(), ErrorCode> {
        if fence.member_id.is_empty() && fence.generation_or_epoch < 0 {
            return Ok(());
        }
        let member = self.fenced(fence)?;
        if fence.generation_or_epoch == member.current.epoch {
            Ok(())
        } else {
            Err(stale(member))
        }
    }

    fn fenced(&self, fence: &OffsetsFence) -> Result<&Member, ErrorCode> {
        let member = self.members.get(&*fence.member_id);
        member.ok_or(ErrorCode::UnknownMemberId)
    }
}

fn stale(member: &Member) -> ErrorCode {
    if member.uses_classic_protocol() {
        ErrorCode::IllegalGeneration
    } else {
        ErrorCode::StaleMemberEpoch
    }
}
