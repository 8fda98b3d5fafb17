//! How a member gets from what it owns to what it shall own.
//!
//! A member first gives back what it shall not have, at its old epoch; only then it moves on to the
//! epoch of the target, with those of its partitions that nobody else owns. So no two members own a
//! partition at a time.

use std::collections::BTreeSet;

use chronik_model::{TopicId, mutant};

use crate::consumer::member::{CurrentAssignment, MemberState};
use crate::consumer::partitions::{Owned, Target, intersects};
use crate::request::TopicAssignment;

/// What a reconciliation depends on besides the member's own state.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Goal<'a> {
    /// Epoch of the target assignment.
    pub(crate) target_epoch: i32,
    /// What the member shall own.
    pub(crate) target: &'a Target,
    /// Topics that the member subscribes to; it shall own nothing else, whatever the target says.
    pub(crate) subscribed: &'a BTreeSet<TopicId>,
    /// Whether the subscription changed with this request.
    pub(crate) subscription_changed: bool,
    /// What the member says it owns; none if it does not say.
    pub(crate) reported: Option<&'a [TopicAssignment]>,
}

/// The member is in a state that this version does not know, and still owns partitions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UnknownState;

/// The next step of a member. `is_owned` says whether any member owns a partition.
pub(crate) fn reconcile(
    current: &CurrentAssignment,
    goal: Goal<'_>,
    is_owned: impl Fn(TopicId, i32) -> bool,
) -> Result<CurrentAssignment, UnknownState> {
    let machine = Machine {
        current,
        goal,
        is_owned,
    };
    match current.state {
        MemberState::Stable if current.epoch != goal.target_epoch => {
            Ok(machine.advance(current.epoch))
        }
        MemberState::UnrevokedPartitions if machine.holds(&current.pending_revocation) => {
            Ok(machine.follow_subscription())
        }
        MemberState::Stable => Ok(machine.follow_subscription()),
        MemberState::UnrevokedPartitions | MemberState::UnreleasedPartitions => {
            Ok(machine.advance(current.epoch))
        }
        MemberState::Unknown => match goal.reported {
            Some([]) => Ok(machine.advance(goal.target_epoch)),
            Some(_) | None => Err(UnknownState),
        },
    }
}

struct Machine<'a, F> {
    current: &'a CurrentAssignment,
    goal: Goal<'a>,
    is_owned: F,
}

impl<F: Fn(TopicId, i32) -> bool> Machine<'_, F> {
    /// Whether the member may still own any of `partitions`: it says so, or says nothing.
    fn holds(&self, partitions: &Owned) -> bool {
        self.goal
            .reported
            .is_none_or(|reported| intersects(reported, partitions))
    }

    /// Takes back the topics that the member does not subscribe to any more, and nothing else.
    fn follow_subscription(&self) -> CurrentAssignment {
        let mut next = self.current.clone();
        if !self.goal.subscription_changed {
            return next;
        }
        for (topic, partitions) in &self.current.assigned {
            if !self.goal.subscribed.contains(topic) {
                next.assigned.remove(topic);
                let pending = next.pending_revocation.entry(*topic).or_default();
                pending.extend(partitions);
            }
        }
        if next.assigned == self.current.assigned {
            return next;
        }
        next.previous_epoch = self.current.epoch;
        if self.holds(&next.pending_revocation) {
            next.state = MemberState::UnrevokedPartitions;
        } else {
            // The member gave them back before it said that it does not want them.
            next.pending_revocation
                .clone_from(&self.current.pending_revocation);
        }
        next
    }

    /// Goes as far towards the target as others and the member itself allow.
    fn advance(&self, epoch: i32) -> CurrentAssignment {
        let mut kept = Owned::new();
        let mut revoked = Owned::new();
        for (topic, partitions) in &self.current.assigned {
            for (partition, epoch) in partitions {
                let stays = self.is_target(*topic, *partition);
                let place = if stays { &mut kept } else { &mut revoked };
                place.entry(*topic).or_default().insert(*partition, *epoch);
            }
        }
        if !revoked.is_empty() && self.holds(&revoked) {
            return CurrentAssignment {
                epoch,
                previous_epoch: self.current.epoch,
                state: MemberState::UnrevokedPartitions,
                assigned: kept,
                pending_revocation: revoked,
            };
        }
        let (assigned, all_there) = self.take_free(kept);
        CurrentAssignment {
            epoch: self.goal.target_epoch,
            previous_epoch: self.current.epoch,
            state: if all_there {
                MemberState::Stable
            } else {
                MemberState::UnreleasedPartitions
            },
            assigned,
            pending_revocation: Owned::new(),
        }
    }

    fn is_target(&self, topic: TopicId, partition: i32) -> bool {
        self.goal.subscribed.contains(&topic)
            && self
                .goal
                .target
                .get(&topic)
                .is_some_and(|partitions| partitions.contains(&partition))
    }

    /// Adds what the target has and nobody owns; and whether that was all of it. What the member
    /// itself was to give back counts as free: nobody else can own it.
    fn take_free(&self, mut assigned: Owned) -> (Owned, bool) {
        let mut all_there = true;
        for (topic, partitions) in self.goal.target {
            if !self.goal.subscribed.contains(topic) {
                continue;
            }
            let pending = self.current.pending_revocation.get(topic);
            for partition in partitions {
                let has = assigned
                    .get(topic)
                    .is_some_and(|owned| owned.contains_key(partition));
                if has {
                    continue;
                }
                let own = pending.is_some_and(|own| own.contains_key(partition));
                let owned = !own && (self.is_owned)(*topic, *partition);
                if owned && !mutant!(HandedOutBeforeRevoked) {
                    all_there = false;
                    continue;
                }
                let topic = assigned.entry(*topic).or_default();
                topic.insert(*partition, self.goal.target_epoch);
            }
        }
        (assigned, all_there)
    }
}
