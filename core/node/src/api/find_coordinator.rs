//! FindCoordinator (API 10), v0 to v6: which broker coordinates groups and transactions.
//!
//! - v0 knows groups only, v1 adds key types, v4 takes many keys (KIP-699), v6 share groups.
//! - A group's coordinator is the leader of its partition of `__consumer_offsets`. The first request
//!   for any group creates that topic and is answered once it is there.
//! - Transactions are not coordinated yet. Producers ask all the same before InitProducerId, which
//!   is where they are refused; so this broker names itself.
//! - Share groups and unknown key types are INVALID_REQUEST.

use chronik_controller::{ControllerReply, ControllerRequest, CreateTopics, NewTopic};
use chronik_model::{ErrorCode, NodeId};
use chronik_protocol::messages::find_coordinator_response::Coordinator;
use chronik_protocol::messages::{
    BrokerId, FindCoordinatorRequest, FindCoordinatorResponse, StrBytes,
};

use super::groups::OFFSETS_TOPIC;
use super::support::{ReplyTo, broker, decode, results, text};
use super::{Context, HandlerError, Outcome, Request, groups};
use crate::view::ClusterView;

const GROUP: i8 = 0;
const TRANSACTION: i8 = 1;
const SHARE: i8 = 2;
const FIRST_VERSION_WITH_MANY_KEYS: i16 = 4;

pub(super) fn handle(
    context: &Context<'_>,
    request: &Request<'_>,
) -> Result<Outcome, HandlerError> {
    let body: FindCoordinatorRequest = decode(request)?;
    let reply = ReplyTo::new(request);
    let many = reply.version >= FIRST_VERSION_WITH_MANY_KEYS;
    let keys = if many {
        body.coordinator_keys
    } else {
        vec![body.key]
    };
    let question = Question {
        reply,
        many,
        key_type: body.key_type,
        keys,
    };
    let missing = context.view.image.topic_by_name(OFFSETS_TOPIC).is_none();
    if body.key_type != GROUP || !missing {
        return Ok(Outcome::Reply(question.answer(context)?));
    }
    let create = ControllerRequest::CreateTopics(CreateTopics {
        topics: vec![offsets_topic(context.view)],
        validate_only: false,
    });
    let finish = move |context: &Context<'_>, reply: ControllerReply| {
        // Whether it was created now, by somebody else, or not at all is seen in the view.
        results(reply, [OFFSETS_TOPIC.to_owned()], |reply| match reply {
            ControllerReply::CreateTopics(results) => Some(results),
            ControllerReply::RegisterBroker(_)
            | ControllerReply::DeleteTopics(_)
            | ControllerReply::CreatePartitions(_)
            | ControllerReply::AlterConfigs(_)
            | ControllerReply::AllocateProducerIds(_)
            | ControllerReply::NotController { .. }
            | ControllerReply::Overloaded
            | ControllerReply::TooLarge => None,
        })?;
        question.answer(context)
    };
    Ok(Outcome::Controller(create, Box::new(finish)))
}

/// `__consumer_offsets` as Kafka makes it; with fewer brokers than replicas wanted, on all there are.
fn offsets_topic(view: &ClusterView) -> NewTopic {
    let settings = &view.broker.groups;
    let brokers = i16::try_from(view.image.brokers().count().max(1)).unwrap_or(i16::MAX);
    let configs = [
        ("cleanup.policy", "compact".to_owned()),
        ("compression.type", "producer".to_owned()),
        (
            "segment.bytes",
            settings.offsets_topic_segment_bytes.to_string(),
        ),
    ];
    NewTopic {
        name: OFFSETS_TOPIC.to_owned(),
        partitions: settings.offsets_topic_num_partitions,
        replication_factor: settings.offsets_topic_replication_factor.min(brokers),
        assignments: Vec::new(),
        configs: configs
            .into_iter()
            .map(|(key, value)| (key.to_owned(), Some(value)))
            .collect(),
    }
}

/// What a client wants to know.
struct Question {
    reply: ReplyTo,
    many: bool,
    key_type: i8,
    keys: Vec<StrBytes>,
}

impl Question {
    fn answer(self, context: &Context<'_>) -> Result<bytes::Bytes, HandlerError> {
        let found = self
            .keys
            .into_iter()
            .map(|key| find(context, self.key_type, key));
        let mut response = FindCoordinatorResponse::default().with_error_message(None);
        if self.many {
            response.coordinators = found.collect();
        } else {
            for found in found {
                response.node_id = found.node_id;
                response.host = found.host;
                response.port = found.port;
                response.error_code = found.error_code;
                response.error_message = found.error_message;
            }
        }
        self.reply.encode(&response)
    }
}

fn find(context: &Context<'_>, key_type: i8, key: StrBytes) -> Coordinator {
    let node = match key_type {
        GROUP => leader_of_group(context.view, &key),
        TRANSACTION => Ok(context.identity.node_id),
        SHARE => Err((
            ErrorCode::InvalidRequest,
            "share groups are not supported".to_owned(),
        )),
        unknown => Err((
            ErrorCode::InvalidRequest,
            format!("unknown key type {unknown}"),
        )),
    };
    let address = node.and_then(|node| {
        broker(context, node)
            .ok_or_else(|| unavailable("the coordinator's broker is not registered"))
    });
    let answer = Coordinator::default().with_key(key);
    match address {
        Ok(broker) => answer
            .with_node_id(BrokerId(broker.node_id.0))
            .with_host(text(broker.host))
            .with_port(i32::from(broker.port))
            .with_error_message(None),
        Err((error, message)) => answer
            .with_node_id(BrokerId(-1))
            .with_host(StrBytes::default())
            .with_port(-1)
            .with_error_code(error.code())
            .with_error_message(Some(text(message))),
    }
}

fn leader_of_group(view: &ClusterView, group_id: &str) -> Result<NodeId, (ErrorCode, String)> {
    let topic = view
        .image
        .topic_by_name(OFFSETS_TOPIC)
        .ok_or_else(|| unavailable("the topic of groups can not be created at the moment"))?;
    let index = groups::partition_of(group_id, topic.partitions.len());
    let partition = topic.partition(index);
    partition
        .and_then(|partition| partition.leader)
        .ok_or_else(|| unavailable("the group's partition has no leader at the moment"))
}

fn unavailable(message: &str) -> (ErrorCode, String) {
    (ErrorCode::CoordinatorNotAvailable, message.to_owned())
}
