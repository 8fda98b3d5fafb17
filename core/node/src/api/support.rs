//! What several handlers need: bodies in and out, topics and brokers of the view, and requests that
//! go to the controller.

use bytes::Bytes;
use chronik_controller::{ControllerReply, RequestError, TopicImage};
use chronik_model::{ErrorCode, NodeId, PartitionIndex, TopicPartition};
use chronik_protocol::header::response_header_version;
use chronik_protocol::messages::{Decodable, Encodable, StrBytes, decode_request, encode_response};
use chronik_protocol::{ApiKey, TopicRef};

use super::{Context, HandlerError, Request, errors};
use crate::view::ClusterView;

/// `authorized_operations` when the client did not ask for them (KIP-430).
pub(super) const OPERATIONS_NOT_ASKED: i32 = i32::MIN;
/// What anyone may do to the cluster where nothing is forbidden, as bits of `AclOperation`: Create,
/// Alter, Describe, ClusterAction, DescribeConfigs, AlterConfigs, IdempotentWrite.
pub(super) const ALL_CLUSTER_OPERATIONS: i32 = bits(&[5, 7, 8, 9, 10, 11, 12]);
/// What anyone may do to a topic where nothing is forbidden, as bits of `AclOperation`: Read,
/// Write, Create, Delete, Alter, Describe, DescribeConfigs, AlterConfigs.
pub(super) const ALL_TOPIC_OPERATIONS: i32 = bits(&[3, 4, 5, 6, 7, 8, 10, 11]);

/// What anyone may do to a group where nothing is forbidden, as bits of `AclOperation`: Read,
/// Delete, Describe, DescribeConfigs, AlterConfigs.
pub(super) const ALL_GROUP_OPERATIONS: i32 = bits(&[3, 6, 8, 10, 11]);

/// What is said with SECURITY_DISABLED.
pub(super) const NO_AUTHORIZER: &str = "there is no authorizer, so there are no access rules";

const fn bits(operations: &[u32]) -> i32 {
    let mut field = 0;
    let mut rest = operations;
    while let Some((operation, behind)) = rest.split_first() {
        field |= 1 << *operation;
        rest = behind;
    }
    field
}

/// Reads the body of a request.
pub(super) fn decode<T: Decodable>(request: &Request<'_>) -> Result<T, HandlerError> {
    Ok(decode_request(request.body, request.version)?)
}

/// Which request a reply answers, for replies that are written later.
#[derive(Debug, Clone, Copy)]
pub(super) struct ReplyTo {
    api_key: ApiKey,
    correlation_id: i32,
    /// Version of the reply.
    pub(super) version: i16,
}

impl ReplyTo {
    pub(super) const fn new(request: &Request<'_>) -> Self {
        Self {
            api_key: request.api_key,
            correlation_id: request.correlation_id,
            version: request.version,
        }
    }

    /// Writes the whole reply frame.
    pub(super) fn encode<T: Encodable>(self, message: &T) -> Result<Bytes, HandlerError> {
        let header_version = response_header_version(self.api_key.code(), self.version);
        Ok(encode_response(
            header_version,
            self.correlation_id,
            self.version,
            message,
        )?)
    }
}

/// A string as the generated structs hold it.
pub(super) fn text(text: impl Into<String>) -> StrBytes {
    StrBytes::from_string(text.into())
}

/// Code and message of a result.
pub(super) fn verdict<T>(result: &Result<T, RequestError>) -> (i16, Option<StrBytes>) {
    match result {
        Ok(_) => (ErrorCode::None.code(), None),
        Err(error) => (error.code.code(), Some(text(error.message.as_str()))),
    }
}

/// One result for each item of a request to the controller.
pub(super) type Results<K, V> = Vec<(K, Result<V, RequestError>)>;

/// The results in the controller's reply, or for every item that was asked about the reason why
/// the controller decided nothing. `pick` takes the results out of the reply that fits the request.
pub(super) fn results<K, V>(
    reply: ControllerReply,
    asked: impl IntoIterator<Item = K>,
    pick: fn(ControllerReply) -> Option<Results<K, V>>,
) -> Result<Results<K, V>, HandlerError> {
    match errors::of_undecided(&reply) {
        Some(error) => Ok(asked
            .into_iter()
            .map(|item| (item, Err(error.clone())))
            .collect()),
        None => pick(reply).ok_or(HandlerError::UnexpectedAnswer),
    }
}

/// The topic that a request means.
pub(crate) fn find_topic<'a>(
    view: &'a ClusterView,
    topic: TopicRef<'_>,
) -> Result<&'a TopicImage, ErrorCode> {
    let (found, otherwise) = match topic {
        TopicRef::Name(name) => (
            view.image.topic_by_name(name),
            ErrorCode::UnknownTopicOrPartition,
        ),
        TopicRef::Id(topic_id) => (view.image.topic(topic_id), ErrorCode::UnknownTopicId),
    };
    found.map(|topic| &**topic).ok_or(otherwise)
}

/// The partition of a topic, if it exists and this broker leads it.
pub(crate) fn led_partition(
    view: &ClusterView,
    topic: &TopicImage,
    partition: PartitionIndex,
) -> Result<TopicPartition, ErrorCode> {
    if topic.partition(partition).is_none() {
        return Err(ErrorCode::UnknownTopicOrPartition);
    }
    if !view.leads(topic, partition) {
        return Err(ErrorCode::NotLeaderOrFollower);
    }
    Ok(TopicPartition {
        topic_id: topic.id,
        partition,
    })
}

/// Where clients reach a broker.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BrokerAddress<'a> {
    /// The broker.
    pub(crate) node_id: NodeId,
    /// Host name or address.
    pub(crate) host: &'a str,
    /// TCP port.
    pub(crate) port: u16,
    /// `broker.rack`.
    pub(crate) rack: Option<&'a str>,
}

/// All brokers by id, this one included even before its registration is committed, as the client
/// that asks reaches them: by the listener that it used here. A broker without a listener of that
/// name is left out, as Kafka leaves it out.
pub(crate) fn brokers<'a>(context: &Context<'a>) -> Vec<BrokerAddress<'a>> {
    let (view, own) = (context.view, context.identity.node_id);
    let registered = view.image.brokers().map(|broker| broker.node_id);
    let mut ids: Vec<NodeId> = registered.filter(|id| *id != own).chain([own]).collect();
    ids.sort_unstable();
    ids.into_iter()
        .filter_map(|node_id| broker(context, node_id))
        .collect()
}

/// One broker as the client that asks reaches it; see [`brokers`].
pub(crate) fn broker<'a>(context: &Context<'a>, node_id: NodeId) -> Option<BrokerAddress<'a>> {
    let identity = context.identity;
    let used = identity.listener(context.peer.listener)?;
    let (endpoint, rack) = if node_id == identity.node_id {
        (used, identity.rack.as_deref())
    } else {
        let other = context.view.image.broker(node_id)?;
        let mut endpoints = other.endpoints.iter();
        let endpoint = endpoints.find(|each| each.listener == used.listener)?;
        (endpoint, other.rack.as_deref())
    };
    Some(BrokerAddress {
        node_id,
        host: &endpoint.host,
        port: endpoint.port,
        rack,
    })
}
