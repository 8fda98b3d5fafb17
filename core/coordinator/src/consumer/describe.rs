//! ConsumerGroupDescribe.

use chronik_model::{ErrorCode, TopicId};

use crate::consumer::heartbeat::not_a_consumer_group;
use crate::consumer::member::Member;
use crate::consumer::partitions::Owned;
use crate::consumer::{ConsumerGroup, Refusal};
use crate::coordinator::GroupCoordinator;
use crate::group::Group;
use crate::outcome::Waiter;
use crate::request::TopicAssignment;
use crate::response::{
    AssignedTopic, ConsumerDescription, ConsumerMemberDescription, GroupResponse,
};
use crate::step::Step;
use crate::topics::Topics;

/// [`ConsumerMemberDescription::member_type`] of members of the classic protocol.
const CLASSIC_MEMBER: i8 = 0;

/// [`ConsumerMemberDescription::member_type`] of members of the consumer protocol.
const CONSUMER_MEMBER: i8 = 1;

impl GroupCoordinator {
    pub(crate) fn describe_consumer(&self, step: &mut Step<'_>, waiter: Waiter, group_id: &str) {
        let description = match self.groups.get(group_id) {
            Some(Group::Consumer(group)) => {
                Ok(group.describe(self.assignor_name(group), step.topics))
            }
            Some(Group::Classic(_)) => Err(not_a_consumer_group(group_id)),
            None => {
                let text = format!("Group {group_id} not found.");
                Err(Refusal::new(ErrorCode::GroupIdNotFound, text))
            }
        };
        let description = description.map_err(Refusal::into_parts);
        step.reply(waiter, GroupResponse::DescribeConsumer(description));
    }
}

impl ConsumerGroup {
    fn describe(&self, assignor: &str, topics: &dyn Topics) -> ConsumerDescription {
        let members = self.members.iter();
        ConsumerDescription {
            state: self.state_name(),
            group_epoch: self.epoch,
            assignment_epoch: self.target_epoch.epoch,
            assignor: assignor.to_owned(),
            members: members
                .map(|(id, member)| self.describe_member(id, member, topics))
                .collect(),
        }
    }

    fn describe_member(
        &self,
        member_id: &str,
        member: &Member,
        topics: &dyn Topics,
    ) -> ConsumerMemberDescription {
        let metadata = &member.metadata;
        let target = self.targets.get(member_id).into_iter().flatten();
        let target =
            target.map(|(topic, partitions)| (*topic, partitions.iter().copied().collect()));
        ConsumerMemberDescription {
            member_id: member_id.to_owned(),
            instance_id: metadata.instance_id.clone(),
            rack_id: metadata.rack_id.clone(),
            member_epoch: member.current.epoch,
            client_id: metadata.client_id.clone(),
            client_host: metadata.client_host.clone(),
            subscribed_topic_names: metadata.topic_names.iter().cloned().collect(),
            subscribed_topic_regex: metadata.topic_regex.clone(),
            assignment: named(held(member), topics),
            target_assignment: named(target, topics),
            member_type: if member.uses_classic_protocol() {
                CLASSIC_MEMBER
            } else {
                CONSUMER_MEMBER
            },
        }
    }
}

/// What a member answers for: also what it has yet to give back.
fn held(member: &Member) -> impl Iterator<Item = (TopicId, Vec<i32>)> {
    let mut all: Owned = member.current.assigned.clone();
    for (topic, partitions) in &member.current.pending_revocation {
        all.entry(*topic).or_default().extend(partitions);
    }
    all.into_iter()
        .map(|(topic, partitions)| (topic, partitions.into_keys().collect()))
}

/// Topics that are gone are left out.
fn named(
    assigned: impl Iterator<Item = (TopicId, Vec<i32>)>,
    topics: &dyn Topics,
) -> Vec<AssignedTopic> {
    assigned
        .filter_map(|(topic_id, partitions)| {
            let topic = topics.by_id(topic_id)?;
            Some(AssignedTopic {
                topic: topic.name.to_owned(),
                partitions: TopicAssignment {
                    topic_id,
                    partitions,
                },
            })
        })
        .collect()
}
