//! A member of a classic group.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;

use crate::outcome::Waiter;
use crate::record::MemberMetadata;
use crate::request::JoinGroup;

/// Protocols of a member, best first, with the metadata of each.
pub(crate) type Protocols = Box<[(Arc<str>, Bytes)]>;

/// A member; its id is the key under which the group keeps it.
#[derive(Debug, Clone)]
pub(crate) struct Member {
    /// Static membership (KIP-345).
    pub(crate) instance_id: Option<Arc<str>>,
    /// Client id.
    pub(crate) client_id: Arc<str>,
    /// Address of the client.
    pub(crate) client_host: Arc<str>,
    /// Time that a rebalance waits for it, in ms.
    pub(crate) rebalance_timeout_ms: i32,
    /// Time without heartbeats after which it is removed, in ms.
    pub(crate) session_timeout_ms: i32,
    /// What it supports. After loading this is the chosen protocol only.
    pub(crate) protocols: Protocols,
    /// What the leader gave it.
    pub(crate) assignment: Bytes,
    /// Its JoinGroup, if it waits for an answer.
    pub(super) joining: Option<Waiter>,
    /// Its SyncGroup, if it waits for an answer.
    pub(super) syncing: Option<Waiter>,
    /// It never was in a generation, and can not send heartbeats yet.
    pub(super) is_new: bool,
}

impl Member {
    /// The member that `request` makes.
    pub(super) fn new(request: &JoinGroup) -> Self {
        Self {
            instance_id: request.group_instance_id.as_deref().map(Arc::from),
            client_id: request.client_id.as_str().into(),
            client_host: request.client_host.as_str().into(),
            rebalance_timeout_ms: request.rebalance_timeout_ms,
            session_timeout_ms: request.session_timeout_ms,
            protocols: owned(&request.protocols),
            assignment: Bytes::new(),
            joining: None,
            syncing: None,
            is_new: true,
        }
    }

    /// The member that a record tells of, in a group with the chosen `protocol`.
    pub(crate) fn from_record(protocol: &Arc<str>, member: MemberMetadata) -> Self {
        let rebalance_timeout_ms = if member.rebalance_timeout_ms == -1 {
            member.session_timeout_ms
        } else {
            member.rebalance_timeout_ms
        };
        Self {
            instance_id: member.instance_id,
            client_id: member.client_id,
            client_host: member.client_host,
            rebalance_timeout_ms,
            session_timeout_ms: member.session_timeout_ms,
            protocols: Box::new([(Arc::clone(protocol), member.subscription)]),
            assignment: member.assignment,
            joining: None,
            syncing: None,
            is_new: false,
        }
    }

    /// Takes over what `before`, the same member, has besides what records hold: who waits, and the
    /// protocols besides the chosen one.
    pub(super) fn keep_soft_state(&mut self, protocol: &str, before: Self) {
        self.joining = before.joining;
        self.syncing = before.syncing;
        if before.metadata(protocol) == self.metadata(protocol) {
            self.protocols = before.protocols;
        }
    }

    /// As a record tells of it, with `assignment`.
    pub(super) fn to_record(
        &self,
        member_id: &Arc<str>,
        protocol: &str,
        assignment: Bytes,
    ) -> MemberMetadata {
        MemberMetadata {
            member_id: Arc::clone(member_id),
            instance_id: self.instance_id.clone(),
            client_id: Arc::clone(&self.client_id),
            client_host: Arc::clone(&self.client_host),
            rebalance_timeout_ms: self.rebalance_timeout_ms,
            session_timeout_ms: self.session_timeout_ms,
            subscription: self.metadata(protocol).cloned().unwrap_or_default(),
            assignment,
        }
    }

    /// Its metadata of `protocol`.
    pub(crate) fn metadata(&self, protocol: &str) -> Option<&Bytes> {
        let found = self.protocols.iter().find(|(name, _)| **name == *protocol);
        found.map(|(_, metadata)| metadata)
    }

    /// Whether it supports the same protocols with the same metadata as a request says.
    pub(super) fn matches(&self, protocols: &[(String, Bytes)]) -> bool {
        self.protocols == owned(protocols)
    }

    /// Whether it may be silent now: it waits for an answer of ours.
    pub(super) const fn may_be_silent(&self) -> bool {
        !self.is_new && (self.joining.is_some() || self.syncing.is_some())
    }
}

/// A copy that does not hold on to the request's buffer. Of protocols with the same name, the first
/// counts.
pub(super) fn owned(protocols: &[(String, Bytes)]) -> Protocols {
    let mut names = BTreeSet::new();
    let copy = |(name, metadata): &(String, Bytes)| {
        (Arc::from(name.as_str()), Bytes::copy_from_slice(metadata))
    };
    let first_of_name = |(name, _): &&(String, Bytes)| names.insert(name.clone());
    protocols.iter().filter(first_of_name).map(copy).collect()
}

#[cfg(test)]
mod tests {
    use crate::timers::TimerKey;

    use super::Member;

    /// Members are what a coordinator has most of. What they say of themselves comes on top.
    #[test]
    fn an_idle_member_is_small() {
        assert!(size_of::<Member>() <= 160, "{}", size_of::<Member>());
        assert!(size_of::<TimerKey>() <= 48, "{}", size_of::<TimerKey>());
    }
}
