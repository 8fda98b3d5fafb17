//! What metrics say of consumer groups: the coordinator of a group is on one shard, the partitions
//! that it consumes are on others.

use std::collections::BTreeMap;
use std::sync::Arc;

use chronik_model::{Offset, PartitionIndex, TopicPartition};
use chronik_node::{Ahead, ClusterView, GroupCursor, GroupStatus, ShardId};

use crate::hub::Hub;
use crate::metrics::{GroupOffset, GroupSample, GroupStats};

/// Groups, offsets and members that are looked at before a shard's lock is given back.
const STEP: usize = 1000;

/// Groups of all shards.
#[derive(Debug)]
pub(super) struct Groups(pub(super) Arc<Hub>);

/// A committed offset, and where it goes.
#[derive(Debug, Clone, Copy)]
struct Question {
    partition: TopicPartition,
    offset: Offset,
    group: usize,
    index: usize,
}

impl GroupStats for Groups {
    fn groups(&self) -> Vec<GroupSample> {
        let Some(view) = self.0.view() else {
            return Vec::new();
        };
        let groups = self.status();
        let mut answers: Vec<Vec<Option<Ahead>>> = groups
            .iter()
            .map(|group| vec![None; group.offsets.len()])
            .collect();
        for (shard, questions) in self.questions(&view, &groups) {
            self.ask(shard, &questions, &mut answers);
        }
        let now_ms = self.0.clock.now().wall_ms;
        let both = groups.into_iter().zip(answers);
        both.map(|(group, answers)| sample(group, &answers, now_ms))
            .collect()
    }
}

impl Groups {
    fn status(&self) -> Vec<GroupStatus> {
        let mut groups = Vec::new();
        for index in 0..self.0.shard_count() {
            let mut cursor = GroupCursor::default();
            while let Some(shard) = self.0.shard(index) {
                let more = shard.group_status(&mut cursor, STEP);
                drop(shard);
                if more.is_empty() {
                    break;
                }
                groups.extend(more);
            }
        }
        groups
    }

    /// By the shard that knows.
    fn questions(
        &self,
        view: &ClusterView,
        groups: &[GroupStatus],
    ) -> BTreeMap<ShardId, Vec<Question>> {
        let shards = u16::try_from(self.0.shard_count()).unwrap_or(u16::MAX);
        let mut questions: BTreeMap<ShardId, Vec<Question>> = BTreeMap::new();
        for (group, status) in groups.iter().enumerate() {
            for (index, committed) in status.offsets.iter().enumerate() {
                let Some(topic) = view.image.topic_by_name(&committed.topic) else {
                    continue;
                };
                let partition = TopicPartition {
                    topic_id: topic.id,
                    partition: PartitionIndex(committed.partition),
                };
                let of_shard = questions.entry(ShardId::of(partition, shards)).or_default();
                of_shard.push(Question {
                    partition,
                    offset: committed.offset,
                    group,
                    index,
                });
            }
        }
        questions
    }

    fn ask(&self, shard: ShardId, questions: &[Question], answers: &mut [Vec<Option<Ahead>>]) {
        for step in questions.chunks(STEP) {
            let Some(shard) = self.0.shard(usize::from(shard.0)) else {
                return;
            };
            let answered = step
                .iter()
                .map(|it| shard.ahead_of(it.partition, it.offset));
            let answered: Vec<_> = answered.collect();
            drop(shard);
            for (question, answer) in step.iter().zip(answered) {
                let place = answers
                    .get_mut(question.group)
                    .and_then(|group| group.get_mut(question.index));
                if let Some(place) = place {
                    *place = answer;
                }
            }
        }
    }
}

fn sample(group: GroupStatus, answers: &[Option<Ahead>], now_ms: i64) -> GroupSample {
    let offsets = group.offsets.into_iter().zip(answers);
    let offsets = offsets.filter_map(|(committed, ahead)| {
        let Ahead { records, since_ms } = (*ahead)?;
        let lag_ms = since_ms.map_or(0, |since| now_ms.saturating_sub(since));
        Some(GroupOffset {
            topic: committed.topic,
            partition: committed.partition,
            offset: committed.offset.0,
            lag_records: records,
            lag_ms: u64::try_from(lag_ms).unwrap_or(0),
        })
    });
    GroupSample {
        offsets: offsets.collect(),
        group: group.group_id,
        state: group.state,
        group_type: group.group_type,
        members: u64::try_from(group.members).unwrap_or(u64::MAX),
    }
}
