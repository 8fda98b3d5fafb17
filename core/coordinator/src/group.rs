//! A group of either protocol.

use std::sync::Arc;

use crate::classic::ClassicGroup;
use crate::consumer::ConsumerGroup;
use crate::record::CoordinatorRecord;
use crate::response::ListedGroup;

/// A group.
#[derive(Debug)]
pub(crate) enum Group {
    /// Of the classic protocol; groups that only keep offsets are of this kind too.
    Classic(ClassicGroup),
    /// Of the consumer protocol (KIP-848).
    Consumer(ConsumerGroup),
}

impl Group {
    /// Whether it has no members.
    pub(crate) fn is_empty(&self) -> bool {
        match self {
            Self::Classic(group) => group.is_empty(),
            Self::Consumer(group) => group.is_empty(),
        }
    }

    /// Whether members are known to read `topic`, or may be.
    pub(crate) fn is_subscribed_to(&self, topic: &str) -> bool {
        match self {
            Self::Classic(group) => group.is_subscribed_to(topic),
            Self::Consumer(group) => group.is_subscribed_to(topic),
        }
    }

    /// The records that remove it, its offsets excepted.
    pub(crate) fn tombstones(&self, group_id: &Arc<str>) -> Vec<CoordinatorRecord> {
        match self {
            Self::Classic(_) => vec![CoordinatorRecord::GroupMetadata {
                group_id: Arc::clone(group_id),
                value: None,
            }],
            Self::Consumer(group) => group.tombstones(group_id),
        }
    }

    /// As ListGroups shows it.
    pub(crate) fn listed(&self, group_id: &str) -> ListedGroup {
        let (protocol_type, state, group_type) = match self {
            Self::Classic(group) => (
                group.protocol_type().unwrap_or_default(),
                group.state().name(),
                "classic",
            ),
            Self::Consumer(group) => ("consumer", group.state_name(), "consumer"),
        };
        ListedGroup {
            group_id: group_id.to_owned(),
            protocol_type: protocol_type.to_owned(),
            state,
            group_type,
        }
    }
}
