//! Metadata (API 3), v0 to v13: brokers, topics and who leads their partitions.
//!
//! - All topics: null, and in v0 an empty list. No topics: an empty list from v1.
//! - By name, and by id from v12 (KIP-516; v10 and v11 have the field but no use for it).
//! - A topic that does not exist is created with the cluster's defaults, where the broker allows it
//!   and from v4 the client does too. The reply then has the new topic as it is. Internal topics are
//!   never created that way: they have a layout of their own, which their owners choose.
//! - v5 lists offline replicas, of which there are none; v7 has leader epochs (KIP-320); v8 has
//!   authorized operations on request (KIP-430), those of the cluster up to v10 only.
//! - The controller is this broker: it hands requests on to the active one.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use chronik_controller::{
    ControllerReply, ControllerRequest, CreateTopics, NewTopic, PartitionImage, TopicImage,
};
use chronik_model::{ErrorCode, NodeId, TopicId, TopicName};
use chronik_protocol::TopicRef;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::metadata_response::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_protocol::messages::{
    self as wire, BrokerId, MetadataRequest, MetadataResponse, topic_id, uuid,
};

use super::support::{
    ALL_CLUSTER_OPERATIONS, ALL_TOPIC_OPERATIONS, OPERATIONS_NOT_ASKED, ReplyTo, brokers, decode,
    find_topic, results, text,
};
use super::{Context, HandlerError, Outcome, Request};

const FIRST_VERSION_BY_ID: i16 = 12;
const LAST_VERSION_WITH_CLUSTER_OPERATIONS: i16 = 10;
const NO_LEADER: BrokerId = BrokerId(-1);

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: MetadataRequest = decode(request)?;
    let question = Question::new(ReplyTo::new(request), &body);
    let missing = if body.allow_auto_topic_creation && context.view.broker.auto_create_topics_enable
    {
        question.to_create(context)
    } else {
        Vec::new()
    };
    if missing.is_empty() {
        return Ok(Outcome::Reply(question.answer(context, &BTreeMap::new())?));
    }
    let create = ControllerRequest::CreateTopics(CreateTopics {
        topics: missing.iter().map(|name| with_defaults(name)).collect(),
        validate_only: false,
    });
    Ok(Outcome::Controller(
        create,
        Box::new(move |context, reply| {
            let refused = refused(reply, missing)?;
            question.answer(context, &refused)
        }),
    ))
}

/// Layout as the cluster's settings say.
fn with_defaults(name: &str) -> NewTopic {
    NewTopic {
        name: name.to_owned(),
        partitions: -1,
        replication_factor: -1,
        assignments: Vec::new(),
        configs: Vec::new(),
    }
}

/// The topics that were not created, and why.
fn refused(
    reply: ControllerReply,
    asked: Vec<String>,
) -> Result<BTreeMap<String, ErrorCode>, HandlerError> {
    let created = results(reply, asked, |reply| {
        if let ControllerReply::CreateTopics(results) = reply {
            Some(results)
        } else {
            None
        }
    })?;
    let refused = created
        .into_iter()
        .filter_map(|(name, result)| Some((name, result.err()?.code)));
    Ok(refused.collect())
}

/// What a client wants to know.
struct Question {
    reply: ReplyTo,
    topics: Topics,
    cluster_operations: i32,
    topic_operations: i32,
}

enum Topics {
    All,
    /// Each once, in the order of the request.
    These(Vec<Wanted>),
}

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Wanted {
    Name(wire::TopicName),
    Id(TopicId),
    /// Named in a way that the version does not have.
    Unreadable(Option<wire::TopicName>),
}

impl Question {
    fn new(reply: ReplyTo, body: &MetadataRequest) -> Self {
        let operations = |asked, all| if asked { all } else { OPERATIONS_NOT_ASKED };
        let cluster_operations = if reply.version <= LAST_VERSION_WITH_CLUSTER_OPERATIONS {
            operations(
                body.include_cluster_authorized_operations,
                ALL_CLUSTER_OPERATIONS,
            )
        } else {
            OPERATIONS_NOT_ASKED
        };
        Self {
            reply,
            topics: Topics::new(reply.version, body.topics.as_deref()),
            cluster_operations,
            topic_operations: operations(
                body.include_topic_authorized_operations,
                ALL_TOPIC_OPERATIONS,
            ),
        }
    }

    /// Topics that are named, could exist and do not.
    fn to_create(&self, context: &Context<'_>) -> Vec<String> {
        let Topics::These(wanted) = &self.topics else {
            return Vec::new();
        };
        let missing = wanted.iter().filter_map(|wanted| {
            let Wanted::Name(name) = wanted else {
                return None;
            };
            let valid = TopicName::new(name)
                .ok()
                .filter(|name| !name.is_internal())?;
            let exists = context.view.image.topic_by_name(valid.as_str()).is_some();
            (!exists).then(|| valid.to_string())
        });
        missing.collect()
    }

    /// `refused` has the topics that could not be created.
    fn answer(
        &self,
        context: &Context<'_>,
        refused: &BTreeMap<String, ErrorCode>,
    ) -> Result<Bytes, HandlerError> {
        let topics = match &self.topics {
            Topics::All => context
                .view
                .image
                .topics()
                .map(|topic| self.describe(topic))
                .collect(),
            Topics::These(wanted) => wanted
                .iter()
                .map(|wanted| self.look_up(context, wanted, refused))
                .collect(),
        };
        let response = MetadataResponse::default()
            .with_brokers(broker_list(context))
            .with_cluster_id(Some(text(context.identity.cluster_id.as_str())))
            .with_controller_id(BrokerId(context.identity.node_id.0))
            .with_topics(topics)
            .with_cluster_authorized_operations(self.cluster_operations);
        self.reply.encode(&response)
    }

    fn look_up(
        &self,
        context: &Context<'_>,
        wanted: &Wanted,
        refused: &BTreeMap<String, ErrorCode>,
    ) -> MetadataResponseTopic {
        let found = match wanted {
            Wanted::Name(name) => find_topic(context.view, TopicRef::Name(name))
                .map_err(|unknown| missing_topic(name, refused).unwrap_or(unknown)),
            Wanted::Id(id) => find_topic(context.view, TopicRef::Id(*id)),
            Wanted::Unreadable(_) => Err(ErrorCode::InvalidRequest),
        };
        match found {
            Ok(topic) => self.describe(topic),
            Err(error) => self.unknown(wanted, error),
        }
    }

    fn describe(&self, topic: &TopicImage) -> MetadataResponseTopic {
        let partitions = (0..).zip(&topic.partitions);
        let partitions = partitions.map(|(index, partition)| describe_partition(index, partition));
        MetadataResponseTopic::default()
            .with_name(Some(wire::TopicName(text(topic.name.as_str()))))
            .with_topic_id(uuid(topic.id))
            .with_is_internal(topic.name.is_internal())
            .with_partitions(partitions.collect())
            .with_topic_authorized_operations(self.topic_operations)
    }

    fn unknown(&self, wanted: &Wanted, error: ErrorCode) -> MetadataResponseTopic {
        let (name, id) = match wanted {
            Wanted::Name(name) => (Some(name.clone()), TopicId::ZERO),
            Wanted::Id(id) => (None, *id),
            Wanted::Unreadable(name) => (name.clone(), TopicId::ZERO),
        };
        // The name can be null where topics can be named by id.
        let name = if self.reply.version >= FIRST_VERSION_BY_ID {
            name
        } else {
            Some(name.unwrap_or_default())
        };
        MetadataResponseTopic::default()
            .with_error_code(error.code())
            .with_name(name)
            .with_topic_id(uuid(id))
    }
}

impl Topics {
    fn new(version: i16, topics: Option<&[MetadataRequestTopic]>) -> Self {
        match topics {
            None => Self::All,
            Some([]) if version == 0 => Self::All,
            Some(topics) => {
                let mut seen = BTreeSet::new();
                let wanted = topics.iter().map(|topic| Wanted::new(version, topic));
                Self::These(
                    wanted
                        .filter(|wanted| seen.insert(wanted.clone()))
                        .collect(),
                )
            }
        }
    }
}

impl Wanted {
    fn new(version: i16, topic: &MetadataRequestTopic) -> Self {
        let id = topic_id(topic.topic_id);
        match &topic.name {
            _ if id != TopicId::ZERO && version >= FIRST_VERSION_BY_ID => Self::Id(id),
            Some(name) if id == TopicId::ZERO => Self::Name(name.clone()),
            Some(_) | None => Self::Unreadable(topic.name.clone()),
        }
    }
}

/// Why a topic that is named is not there; `None` if nothing more is known.
fn missing_topic(name: &str, refused: &BTreeMap<String, ErrorCode>) -> Option<ErrorCode> {
    if TopicName::new(name).is_err() {
        return Some(ErrorCode::InvalidTopicException);
    }
    let code = *refused.get(name)?;
    // It may come into being at any moment: clients ask again after this code.
    let undecided = [
        ErrorCode::NotController,
        ErrorCode::RequestTimedOut,
        ErrorCode::TopicAlreadyExists,
    ];
    Some(if undecided.contains(&code) {
        ErrorCode::LeaderNotAvailable
    } else {
        code
    })
}

fn describe_partition(index: i32, partition: &PartitionImage) -> MetadataResponsePartition {
    let (error, leader) = match partition.leader {
        Some(leader) => (ErrorCode::None, BrokerId(leader.0)),
        None => (ErrorCode::LeaderNotAvailable, NO_LEADER),
    };
    MetadataResponsePartition::default()
        .with_error_code(error.code())
        .with_partition_index(index)
        .with_leader_id(leader)
        .with_leader_epoch(partition.leader_epoch.0)
        .with_replica_nodes(broker_ids(&partition.replicas))
        .with_isr_nodes(broker_ids(&partition.isr))
}

fn broker_ids(nodes: &[NodeId]) -> Vec<BrokerId> {
    nodes.iter().map(|node| BrokerId(node.0)).collect()
}

fn broker_list(context: &Context<'_>) -> Vec<MetadataResponseBroker> {
    let brokers = brokers(context).into_iter().map(|broker| {
        MetadataResponseBroker::default()
            .with_node_id(BrokerId(broker.node_id.0))
            .with_host(text(broker.host))
            .with_port(i32::from(broker.port))
            .with_rack(broker.rack.map(text))
    });
    brokers.collect()
}
