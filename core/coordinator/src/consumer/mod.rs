//! Groups of the consumer protocol (KIP-848).
//!
//! A heartbeat is handled in three steps, each of which may make records. The member's *metadata* is
//! brought up to date; the *group epoch* grows where members, subscriptions or topics changed
//! (`membership`). A *target assignment* is computed for that epoch (`assignment`, `assignor`). And
//! the member's *current assignment* goes one step towards the target (`reconcile`).
//!
//! Members of the classic protocol can be in such a group while its clients are moved from one
//! protocol to the other (`classic_member`); `migration` makes one kind of group of the other.
//!
//! **Invariant**: no two members are told to own a partition at a time.

mod assignment;
mod classic_member;
mod describe;
mod embedded;
mod group;
mod heartbeat;
mod member;
mod membership;
mod metadata_hash;
mod migration;
mod offsets;
mod partitions;
mod reconcile;
mod regex;
mod timers;
mod validate;

use std::sync::Arc;

use chronik_model::ErrorCode;
use chronik_model::ids::base64_url;

pub(crate) use group::ConsumerGroup;
pub(crate) use member::{ClassicMetadata, CurrentAssignment, MemberMetadata, MemberState};
pub(crate) use partitions::{Owned, Target};
pub(crate) use timers::ConsumerTimer;

use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::record::{ConsumerChange, ConsumerRecord, CoordinatorRecord};
use crate::step::Step;

/// A request is refused.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Refusal {
    code: ErrorCode,
    message: String,
}

impl Refusal {
    fn new(code: ErrorCode, message: impl Into<String>) -> Self {
        Self {
            code,
            message: message.into(),
        }
    }

    fn into_parts(self) -> (ErrorCode, String) {
        (self.code, self.message)
    }
}

impl ConsumerGroup {
    /// The records that remove it, its offsets excepted.
    pub(crate) fn tombstones(&self, group_id: &Arc<str>) -> Vec<CoordinatorRecord> {
        let record = |change| {
            CoordinatorRecord::Consumer(ConsumerRecord {
                group_id: Arc::clone(group_id),
                change,
            })
        };
        self.removals().into_iter().map(record).collect()
    }
}

impl GroupCoordinator {
    /// The consumer group of that id.
    fn consumer(&self, group_id: &str) -> Option<&ConsumerGroup> {
        match self.groups.get(group_id)? {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    fn consumer_mut(&mut self, group_id: &str) -> Option<&mut ConsumerGroup> {
        match self.groups.get_mut(group_id)? {
            Group::Consumer(group) => Some(group),
            Group::Classic(_) => None,
        }
    }

    fn emit_change(&mut self, step: &mut Step<'_>, group_id: &Arc<str>, change: ConsumerChange) {
        let record = ConsumerRecord {
            group_id: Arc::clone(group_id),
            change,
        };
        self.emit(step, CoordinatorRecord::Consumer(record));
    }

    fn emit_changes(
        &mut self,
        step: &mut Step<'_>,
        group_id: &Arc<str>,
        changes: impl IntoIterator<Item = ConsumerChange>,
    ) {
        for change in changes {
            self.emit_change(step, group_id, change);
        }
    }

    /// Takes in a record of a consumer group.
    ///
    /// # Errors
    /// A classic group with members is in its place.
    pub(crate) fn apply_consumer(&mut self, record: ConsumerRecord) -> Result<(), String> {
        let ConsumerRecord { group_id, change } = record;
        match self.groups.get(&group_id) {
            // A classic group that keeps offsets only is not backed by a record of its own.
            Some(Group::Classic(group)) if group.protocol_type().is_none() => {
                if change.is_tombstone() {
                    return Ok(());
                }
                self.forget_group(&group_id);
            }
            Some(Group::Classic(_)) if change.is_tombstone() => return Ok(()),
            Some(Group::Classic(_)) => {
                return Err(format!("group {group_id} is not a consumer group"));
            }
            None if change.is_tombstone() => return Ok(()),
            Some(Group::Consumer(_)) | None => {}
        }
        if matches!(change, ConsumerChange::Epoch(None)) {
            self.forget_group(&group_id);
            return Ok(());
        }
        if let ConsumerChange::Member(member_id, None) = &change {
            self.cancel_timers(&group_id, member_id);
        }
        let entry = self.groups.entry(Arc::clone(&group_id));
        let group = entry.or_insert_with(|| Group::Consumer(ConsumerGroup::new(group_id)));
        if let Group::Consumer(group) = group {
            group.apply(change);
        }
        Ok(())
    }

    /// An id for a member that joins without one, in the form of Kafka's random ids.
    fn new_consumer_id(&mut self) -> Arc<str> {
        loop {
            let id = base64_url(&self.rng.bytes16());
            // One that looks like an option is a nuisance on command lines.
            if !id.starts_with('-') {
                return id.into();
            }
        }
    }
}
