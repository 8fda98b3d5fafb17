//! Questions of an admin that change nothing that others depend on.

use chronik_model::Mono;
use chronik_protocol::ApiKey;
use chronik_protocol::messages::describe_configs_request::DescribeConfigsResource;
use chronik_protocol::messages::describe_producers_request::TopicRequest;
use chronik_protocol::messages::offset_commit_request::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use chronik_protocol::messages::offset_delete_request::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use chronik_protocol::messages::{
    DeleteGroupsRequest, DeleteGroupsResponse, DescribeClusterRequest, DescribeClusterResponse,
    DescribeConfigsRequest, DescribeConfigsResponse, DescribeLogDirsRequest,
    DescribeLogDirsResponse, DescribeProducersRequest, DescribeProducersResponse,
    FindCoordinatorRequest, FindCoordinatorResponse, GroupId, MetadataRequest, MetadataResponse,
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse, StrBytes,
};

use super::About;
use crate::actor::ActorOutputs;
use crate::client::connection::Reply;
use crate::client::desk::Desk;
use crate::client::dice::Dice;

/// A question, or something done to a group that nobody else uses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    Metadata,
    Configs,
    Cluster,
    LogDirs,
    Producers,
    Coordinator,
    CommitIdle,
    DeleteIdleOffsets,
    DeleteIdleGroup,
}

impl Look {
    pub(super) fn draw(dice: &mut Dice) -> Self {
        dice.pick(&[
            Self::Metadata,
            Self::Configs,
            Self::Cluster,
            Self::LogDirs,
            Self::Producers,
            Self::Coordinator,
            Self::CommitIdle,
            Self::CommitIdle,
            Self::DeleteIdleOffsets,
            Self::DeleteIdleGroup,
        ])
    }

    /// Asks, about that topic where it is about one.
    pub(super) fn send(
        self,
        now: Mono,
        plan: usize,
        desk: &mut Desk<About>,
        out: &mut ActorOutputs,
    ) {
        let about = About::Look(self);
        let topic = desk.catalog.name(plan);
        let versions = &desk.versions;
        match self {
            Self::Metadata => {
                let (key, version) = versions.of(ApiKey::Metadata);
                // An empty list asks for everything in v0, and null does since.
                let topics = (version == 0).then(Vec::new);
                let mut request = MetadataRequest::default().with_topics(topics);
                if version >= 4 {
                    request.allow_auto_topic_creation = false;
                }
                desk.send(now, (key, version), &request, about, out);
            }
            Self::Configs => {
                let resource = DescribeConfigsResource::default()
                    .with_resource_type(super::TOPIC)
                    .with_resource_name(topic.0)
                    .with_configuration_keys(None);
                let request = DescribeConfigsRequest::default().with_resources(vec![resource]);
                let api = versions.of(ApiKey::DescribeConfigs);
                desk.send(now, api, &request, about, out);
            }
            Self::Cluster => {
                let api = versions.of(ApiKey::DescribeCluster);
                desk.send(now, api, &DescribeClusterRequest::default(), about, out);
            }
            Self::LogDirs => {
                let api = versions.of(ApiKey::DescribeLogDirs);
                let request = DescribeLogDirsRequest::default().with_topics(None);
                desk.send(now, api, &request, about, out);
            }
            Self::Producers => {
                let topic = TopicRequest::default()
                    .with_name(topic)
                    .with_partition_indexes(vec![0]);
                let request = DescribeProducersRequest::default().with_topics(vec![topic]);
                let api = versions.of(ApiKey::DescribeProducers);
                desk.send(now, api, &request, about, out);
            }
            Self::Coordinator
            | Self::CommitIdle
            | Self::DeleteIdleOffsets
            | Self::DeleteIdleGroup => self.send_to_group(now, plan, desk, out),
        }
    }

    fn send_to_group(self, now: Mono, plan: usize, desk: &mut Desk<About>, out: &mut ActorOutputs) {
        let about = About::Look(self);
        let topic = desk.catalog.name(plan);
        let group = StrBytes::from_static_str(desk.dice.pick(&["idle-1", "idle-2", "idle-3"]));
        let versions = &desk.versions;
        match self {
            Self::CommitIdle => {
                let partition = OffsetCommitRequestPartition::default()
                    .with_committed_offset(1)
                    .with_committed_metadata(Some(StrBytes::default()));
                let topic = OffsetCommitRequestTopic::default()
                    .with_name(topic)
                    .with_partitions(vec![partition]);
                let request = OffsetCommitRequest::default()
                    .with_group_id(GroupId(group))
                    .with_generation_id_or_member_epoch(-1)
                    .with_topics(vec![topic]);
                let api = versions.of(ApiKey::OffsetCommit);
                desk.send(now, api, &request, about, out);
            }
            Self::DeleteIdleOffsets => {
                let topic = OffsetDeleteRequestTopic::default()
                    .with_name(topic)
                    .with_partitions(vec![OffsetDeleteRequestPartition::default()]);
                let request = OffsetDeleteRequest::default()
                    .with_group_id(GroupId(group))
                    .with_topics(vec![topic]);
                let api = versions.of(ApiKey::OffsetDelete);
                desk.send(now, api, &request, about, out);
            }
            Self::DeleteIdleGroup => {
                let request =
                    DeleteGroupsRequest::default().with_groups_names(vec![GroupId(group)]);
                let api = versions.of(ApiKey::DeleteGroups);
                desk.send(now, api, &request, about, out);
            }
            Self::Coordinator
            | Self::Metadata
            | Self::Configs
            | Self::Cluster
            | Self::LogDirs
            | Self::Producers => {
                let api = versions.from(ApiKey::FindCoordinator, 4);
                let request = FindCoordinatorRequest::default().with_coordinator_keys(vec![group]);
                desk.send(now, api, &request, about, out);
            }
        }
    }

    /// The answer has to be readable.
    pub(super) fn take(self, reply: &Reply<About>, desk: &Desk<About>, out: &mut ActorOutputs) {
        match self {
            Self::Metadata => drop(desk.read::<MetadataResponse>(reply, out)),
            Self::Configs => drop(desk.read::<DescribeConfigsResponse>(reply, out)),
            Self::Cluster => drop(desk.read::<DescribeClusterResponse>(reply, out)),
            Self::LogDirs => drop(desk.read::<DescribeLogDirsResponse>(reply, out)),
            Self::Producers => drop(desk.read::<DescribeProducersResponse>(reply, out)),
            Self::Coordinator => drop(desk.read::<FindCoordinatorResponse>(reply, out)),
            Self::CommitIdle => drop(desk.read::<OffsetCommitResponse>(reply, out)),
            Self::DeleteIdleOffsets => drop(desk.read::<OffsetDeleteResponse>(reply, out)),
            Self::DeleteIdleGroup => drop(desk.read::<DeleteGroupsResponse>(reply, out)),
        }
    }
}
