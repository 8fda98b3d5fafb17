//! Groups as metrics show them.

use std::ops::Bound;
use std::sync::Arc;

use chronik_model::Offset;

use crate::coordinator::GroupCoordinator;
use crate::group::Group;

/// A group at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupStatus {
    /// The group.
    pub group_id: Arc<str>,
    /// As ListGroups names it: "Empty", "Stable", "Reconciling", ...
    pub state: &'static str,
    /// "classic" or "consumer".
    pub group_type: &'static str,
    /// Number of members.
    pub members: usize,
    /// What is committed, by topic and partition.
    pub offsets: Vec<CommittedOffset>,
}

/// A committed offset.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CommittedOffset {
    /// Topic; it may be gone.
    pub topic: Arc<str>,
    /// Partition; it may be gone.
    pub partition: i32,
    /// Next offset to consume.
    pub offset: Offset,
}

impl GroupCoordinator {
    /// All groups behind `after`, or all, in order of their ids. Each is made when it is asked for and
    /// costs as much as it has offsets and members, so a caller that takes some at a time and comes
    /// back with the last id keeps its steps short.
    pub fn status(&self, after: Option<&str>) -> impl Iterator<Item = GroupStatus> {
        let start = after.map_or(Bound::Unbounded, Bound::Excluded);
        let groups = self.groups.range::<str, _>((start, Bound::Unbounded));
        groups.map(|(group_id, group)| GroupStatus {
            group_id: Arc::clone(group_id),
            state: group.state_name(),
            group_type: group.type_name(),
            members: group.member_count(),
            offsets: self.committed(group_id),
        })
    }

    fn committed(&self, group_id: &str) -> Vec<CommittedOffset> {
        let topics = self.offsets.of_group(group_id).into_iter().flatten();
        let offsets = topics.flat_map(|(topic, partitions)| {
            partitions.iter().map(|(partition, value)| CommittedOffset {
                topic: Arc::clone(topic),
                partition: *partition,
                offset: value.offset,
            })
        });
        offsets.collect()
    }
}

impl Group {
    const fn type_name(&self) -> &'static str {
        match self {
            Self::Classic(_) => "classic",
            Self::Consumer(_) => "consumer",
        }
    }

    fn state_name(&self) -> &'static str {
        match self {
            Self::Classic(group) => group.state().name(),
            Self::Consumer(group) => group.state_name(),
        }
    }

    fn member_count(&self) -> usize {
        match self {
            Self::Classic(group) => group.members().len(),
            Self::Consumer(group) => group.member_count(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::GroupConfig;
    use crate::record::{CoordinatorRecord, OffsetValue};
    use chronik_model::TopicId;

    fn coordinator(commits: &[(&str, &str, i32, i64)]) -> GroupCoordinator {
        let mut coordinator = GroupCoordinator::new(GroupConfig::default(), 7);
        for (group_id, topic, partition, offset) in commits {
            let record = CoordinatorRecord::OffsetCommit {
                group_id: (*group_id).into(),
                topic: (*topic).into(),
                partition: *partition,
                value: Some(OffsetValue {
                    offset: Offset(*offset),
                    leader_epoch: -1,
                    metadata: "".into(),
                    commit_ms: 0,
                    expire_ms: None,
                    topic_id: TopicId::ZERO,
                }),
            };
            coordinator.replay(&record.encode()).unwrap();
        }
        coordinator
    }

    /// A group, and what it committed by topic and partition.
    type Expected<'a> = (&'a str, &'a [(&'a str, i32, i64)]);

    #[test]
    fn groups_come_in_order_with_all_they_committed() {
        let coordinator = coordinator(&[
            ("b", "t", 1, 5),
            ("a", "u", 0, 1),
            ("b", "s", 0, 2),
            ("b", "t", 1, 6),
        ]);
        let check = |after, expected: &[Expected<'_>]| {
            let found: Vec<_> = coordinator.status(after).collect();
            let found: Vec<_> = found
                .iter()
                .map(|group| {
                    assert_eq!((group.state, group.group_type), ("Empty", "classic"));
                    assert_eq!(group.members, 0);
                    let offsets = group.offsets.iter();
                    let offsets = offsets.map(|it| (&*it.topic, it.partition, it.offset.0));
                    (&*group.group_id, offsets.collect::<Vec<_>>())
                })
                .collect();
            let expected: Vec<_> = expected.iter().map(|(id, it)| (*id, it.to_vec())).collect();
            assert_eq!(found, expected, "after {after:?}");
        };
        check(
            None,
            &[("a", &[("u", 0, 1)]), ("b", &[("s", 0, 2), ("t", 1, 6)])],
        );
        check(Some("a"), &[("b", &[("s", 0, 2), ("t", 1, 6)])]);
        check(Some("aa"), &[("b", &[("s", 0, 2), ("t", 1, 6)])]);
        check(Some("b"), &[]);
    }
}
