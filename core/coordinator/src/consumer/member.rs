//! A member of a consumer group.

use std::collections::BTreeSet;

use bytes::Bytes;

use crate::consumer::partitions::Owned;

/// Epoch in heartbeats of members that leave.
pub(crate) const LEAVE_EPOCH: i32 = -1;

/// Epoch in heartbeats of static members that leave for a while, and of their current assignment
/// until somebody takes the instance id over.
pub(crate) const STATIC_LEAVE_EPOCH: i32 = -2;

/// Where a member stands on its way to the target assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum MemberState {
    /// Owns what it was told to own.
    Stable,
    /// Was told to give partitions back, and has not said that it did.
    UnrevokedPartitions,
    /// Waits for partitions that others still own.
    UnreleasedPartitions,
    /// Written by a later version.
    Unknown,
}

impl MemberState {
    /// The number in records.
    pub(crate) const fn code(self) -> i8 {
        match self {
            Self::Stable => 0,
            Self::UnrevokedPartitions => 1,
            Self::UnreleasedPartitions => 2,
            Self::Unknown => 127,
        }
    }

    /// The state of a number in records.
    pub(crate) const fn from_code(code: i8) -> Self {
        match code {
            0 => Self::Stable,
            1 => Self::UnrevokedPartitions,
            2 => Self::UnreleasedPartitions,
            _ => Self::Unknown,
        }
    }
}

/// What a member that uses the classic protocol brought with JoinGroup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClassicMetadata {
    /// Time without heartbeats after which the member is removed, in ms.
    pub(crate) session_timeout_ms: i32,
    /// Protocols, best first, with their metadata.
    pub(crate) protocols: Vec<(String, Bytes)>,
}

/// What a member said of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemberMetadata {
    /// Static membership (KIP-345).
    pub(crate) instance_id: Option<String>,
    /// Rack of the client.
    pub(crate) rack_id: Option<String>,
    /// Client id.
    pub(crate) client_id: String,
    /// Address.
    pub(crate) client_host: String,
    /// Topics by name.
    pub(crate) topic_names: BTreeSet<String>,
    /// Topics by regular expression; empty or none for no such subscription.
    pub(crate) topic_regex: Option<String>,
    /// Time to give partitions back, in ms; -1 where never said.
    pub(crate) rebalance_timeout_ms: i32,
    /// Assignor that the member votes for.
    pub(crate) assignor: Option<String>,
    /// Present while the member uses the classic protocol.
    pub(crate) classic: Option<ClassicMetadata>,
}

impl Default for MemberMetadata {
    fn default() -> Self {
        Self {
            instance_id: None,
            rack_id: None,
            client_id: String::new(),
            client_host: String::new(),
            topic_names: BTreeSet::new(),
            topic_regex: Some(String::new()),
            rebalance_timeout_ms: -1,
            assignor: None,
            classic: None,
        }
    }
}

impl MemberMetadata {
    /// The regular expression, if there is one.
    pub(crate) fn regex(&self) -> Option<&str> {
        self.topic_regex
            .as_deref()
            .filter(|regex| !regex.is_empty())
    }
}

/// What a member owns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct CurrentAssignment {
    /// Epoch expected in heartbeats; [`STATIC_LEAVE_EPOCH`] while a static member is away.
    pub(crate) epoch: i32,
    /// Epoch before that, accepted where the response that told the new one may have been lost.
    pub(crate) previous_epoch: i32,
    /// Progress of the reconciliation.
    pub(crate) state: MemberState,
    /// Partitions that the member may consume.
    pub(crate) assigned: Owned,
    /// Partitions that the member must give back.
    pub(crate) pending_revocation: Owned,
}

impl Default for CurrentAssignment {
    fn default() -> Self {
        Self {
            epoch: 0,
            previous_epoch: -1,
            state: MemberState::Stable,
            assigned: Owned::new(),
            pending_revocation: Owned::new(),
        }
    }
}

impl CurrentAssignment {
    /// Whether nothing is left to do towards the target of that epoch.
    pub(crate) fn is_reconciled_to(&self, target_epoch: i32) -> bool {
        self.state == MemberState::Stable && self.epoch == target_epoch
    }
}

/// A member.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Member {
    /// What it said of itself.
    pub(crate) metadata: MemberMetadata,
    /// What it owns.
    pub(crate) current: CurrentAssignment,
}

impl Member {
    /// Whether the member speaks JoinGroup, SyncGroup and Heartbeat.
    pub(crate) const fn uses_classic_protocol(&self) -> bool {
        self.metadata.classic.is_some()
    }
}
