//! A small Kafka client: bootstrap, cached metadata, one connection per broker, and requests sent
//! to whoever must answer them.

use std::collections::BTreeMap;
use std::time::Duration;

use chronik_model::{ErrorCode, LeaderEpoch, NodeId, PartitionIndex, TopicId, TopicName};
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::metadata_response::{
    MetadataResponsePartition, MetadataResponseTopic,
};
use chronik_protocol::messages::{self, BrokerId, MetadataRequest, MetadataResponse, StrBytes};

use crate::api::Api;
use crate::args::{BrokerAddress, GlobalArgs};
use crate::connection::Connection;
use crate::error::{CliError, is_transient, is_unknown_topic};
use crate::retry::Retry;

/// A cluster as seen from outside.
#[derive(Debug)]
pub struct Client {
    bootstrap: Vec<BrokerAddress>,
    timeout: Duration,
    /// The connection to whichever bootstrap address answered first.
    seed: Option<Connection>,
    connections: BTreeMap<NodeId, Connection>,
    brokers: BTreeMap<NodeId, BrokerAddress>,
    controller: Option<NodeId>,
    topics: BTreeMap<TopicName, Topic>,
}

/// Who must answer a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Target {
    /// Any broker.
    Any,
    /// The broker that takes administrative requests.
    Controller,
    /// This broker.
    Broker(NodeId),
}

/// What happens to a topic that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMissing {
    /// Brokers may create it (`auto.create.topics.enable`).
    Create,
    /// It is an error.
    Fail,
}

/// A topic of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topic {
    /// Its name.
    pub name: TopicName,
    /// Zero when the broker is too old for topic ids.
    pub id: TopicId,
    /// Whether the cluster keeps it for itself.
    pub internal: bool,
    /// In the order of their index.
    pub partitions: Vec<Partition>,
}

/// A partition of a topic.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Partition {
    /// Its number in the topic.
    pub index: PartitionIndex,
    /// Who leads it; nobody during an election.
    pub leader: Option<NodeId>,
    /// How often it was led by somebody new.
    pub leader_epoch: LeaderEpoch,
    /// Who holds it, the preferred leader first.
    pub replicas: Vec<NodeId>,
    /// Who is in sync.
    pub isr: Vec<NodeId>,
    /// Whose copies can not be reached.
    pub offline: Vec<NodeId>,
}

impl Client {
    /// The client of a command.
    pub(crate) fn new(globals: &GlobalArgs) -> Self {
        Self::for_brokers(globals.brokers.clone(), globals.request_timeout())
    }

    /// A client that connects when it is first asked for something.
    #[must_use]
    pub const fn for_brokers(bootstrap: Vec<BrokerAddress>, timeout: Duration) -> Self {
        Self {
            bootstrap,
            timeout,
            seed: None,
            connections: BTreeMap::new(),
            brokers: BTreeMap::new(),
            controller: None,
            topics: BTreeMap::new(),
        }
    }

    /// How long one request, or the attempts of one operation, may take.
    #[must_use]
    pub const fn timeout(&self) -> Duration {
        self.timeout
    }

    /// The time a broker is given in a request, in milliseconds: less than ours, so that its own
    /// answer about running out of time still arrives.
    #[must_use]
    pub fn broker_timeout_ms(&self) -> i32 {
        i32::try_from((self.timeout * 4 / 5).as_millis()).unwrap_or(i32::MAX)
    }

    /// Sends `request` to `target` and waits for the answer.
    ///
    /// # Errors
    /// No connection, none in time, or an answer that makes no sense.
    pub fn call<A: Api>(&mut self, target: Target, request: &A) -> Result<A::Response, CliError> {
        let timeout = self.timeout;
        let answer = self.connection(target)?.call(request, timeout);
        if answer.is_err() {
            self.disconnect(target);
        }
        answer
    }

    /// Sends a request that is not answered.
    pub(crate) fn send<A: Api>(&mut self, target: Target, request: &A) -> Result<(), CliError> {
        let timeout = self.timeout;
        let sent = self.connection(target)?.send(request, timeout);
        if sent.is_err() {
            self.disconnect(target);
        }
        sent
    }

    /// Every broker of the cluster.
    ///
    /// # Errors
    /// Those of [`Self::call`].
    pub fn nodes(&mut self) -> Result<Vec<NodeId>, CliError> {
        self.refresh_brokers()?;
        Ok(self.brokers.keys().copied().collect())
    }

    /// Every broker of the cluster with the address that it gives out.
    ///
    /// # Errors
    /// Those of [`Self::call`].
    pub fn brokers(&mut self) -> Result<BTreeMap<NodeId, BrokerAddress>, CliError> {
        self.refresh_brokers()?;
        Ok(self.brokers.clone())
    }

    /// Every topic of the cluster.
    pub(crate) fn all_topics(&mut self) -> Result<Vec<Topic>, CliError> {
        let answer = self.metadata(None, IfMissing::Fail)?;
        let mut topics = Vec::with_capacity(answer.topics.len());
        for topic in &answer.topics {
            topics.push(topic_of(topic)?);
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(topics)
    }

    /// A topic, from memory or from the cluster; one that was created a moment ago is waited for.
    ///
    /// # Errors
    /// Those of [`Self::call`], and [`CliError::Refused`] for a topic that is not there.
    pub fn topic(&mut self, name: &TopicName, if_missing: IfMissing) -> Result<Topic, CliError> {
        if let Some(topic) = self.topics.get(name) {
            return Ok(topic.clone());
        }
        let patience = match if_missing {
            IfMissing::Create => CREATED_TOPIC_PATIENCE,
            IfMissing::Fail => UNKNOWN_TOPIC_PATIENCE,
        };
        let mut retry = Retry::within(patience.min(self.timeout));
        loop {
            let answer = self.metadata(Some(name), if_missing)?;
            let error = match answer.topics.first() {
                Some(topic) if topic.error_code == ErrorCode::None.code() => {
                    let topic = topic_of(topic)?;
                    self.topics.insert(name.clone(), topic.clone());
                    return Ok(topic);
                }
                Some(topic) => topic.error_code,
                None => ErrorCode::UnknownTopicOrPartition.code(),
            };
            if is_transient(error) && retry.again() {
                continue;
            }
            if is_unknown_topic(error) {
                return Err(no_such_topic(name));
            }
            return Err(CliError::refused(format!("find topic {name}"), error, None));
        }
    }

    /// The leader of a partition; waits for an election to end.
    ///
    /// # Errors
    /// Those of [`Self::topic`], and [`CliError::Refused`] without a leader in time.
    pub fn leader(&mut self, name: &TopicName, index: PartitionIndex) -> Result<NodeId, CliError> {
        let mut retry = Retry::within(self.timeout);
        loop {
            let topic = self.topic(name, IfMissing::Fail)?;
            let found = topic
                .partitions
                .iter()
                .find(|partition| partition.index == index);
            let Some(partition) = found else {
                return Err(no_such_partition(&topic, index));
            };
            if let Some(leader) = partition.leader {
                return Ok(leader);
            }
            self.forget_topic(name);
            if !retry.again() {
                let what = format!("find the leader of {name} [{}]", index.0);
                let code = ErrorCode::LeaderNotAvailable.code();
                return Err(CliError::refused(what, code, None));
            }
        }
    }

    /// Makes the next look at this topic ask the cluster: its leaders have moved.
    pub fn forget_topic(&mut self, name: &TopicName) {
        self.topics.remove(name);
    }

    /// Makes the next administrative request look for the controller.
    pub const fn forget_controller(&mut self) {
        self.controller = None;
    }

    fn metadata(
        &mut self,
        topic: Option<&TopicName>,
        if_missing: IfMissing,
    ) -> Result<MetadataResponse, CliError> {
        let mut request = MetadataRequest::default();
        request.topics = topic.map(|name| {
            let mut topic = MetadataRequestTopic::default();
            topic.name = Some(wire_name(name));
            vec![topic]
        });
        request.allow_auto_topic_creation = if_missing == IfMissing::Create;
        let answer = self.ask_any(&request)?;
        self.learn_brokers(&answer);
        Ok(answer)
    }

    /// Asks whoever answers. The kept connection may lead to a broker that died since: another one
    /// is asked then.
    fn ask_any(&mut self, request: &MetadataRequest) -> Result<MetadataResponse, CliError> {
        let kept = self.seed.is_some();
        match self.call(Target::Any, request) {
            Err(CliError::Lost { .. } | CliError::TimedOut { .. }) if kept => {
                self.call(Target::Any, request)
            }
            answer => answer,
        }
    }

    /// Takes over who is in the cluster; brokers that moved are connected to anew.
    fn learn_brokers(&mut self, answer: &MetadataResponse) {
        let brokers: BTreeMap<NodeId, BrokerAddress> = answer
            .brokers
            .iter()
            .filter_map(|broker| {
                let port = u16::try_from(broker.port).ok()?;
                let address = BrokerAddress {
                    host: broker.host.to_string(),
                    port,
                };
                Some((NodeId(broker.node_id.0), address))
            })
            .collect();
        self.connections
            .retain(|node, _| brokers.get(node) == self.brokers.get(node));
        self.controller = node_of(answer.controller_id);
        self.brokers = brokers;
    }

    fn connection(&mut self, target: Target) -> Result<&mut Connection, CliError> {
        match target {
            Target::Any => self.seed(),
            Target::Controller => {
                if self.controller.is_none() {
                    self.refresh_brokers()?;
                }
                match self.controller {
                    Some(node) => self.broker(node),
                    None => self.seed(),
                }
            }
            Target::Broker(node) => self.broker(node),
        }
    }

    fn seed(&mut self) -> Result<&mut Connection, CliError> {
        let seed = match self.seed.take() {
            Some(seed) => seed,
            None => bootstrap(&self.addresses(), self.timeout)?,
        };
        Ok(self.seed.insert(seed))
    }

    /// The bootstrap addresses, then those that the cluster told since.
    fn addresses(&self) -> Vec<BrokerAddress> {
        let told = self
            .brokers
            .values()
            .filter(|told| !self.bootstrap.contains(told));
        self.bootstrap.iter().chain(told).cloned().collect()
    }

    fn broker(&mut self, node: NodeId) -> Result<&mut Connection, CliError> {
        let connection = match self.connections.remove(&node) {
            Some(connection) => connection,
            None => Connection::open(&self.address(node)?, self.timeout)?,
        };
        Ok(self.connections.entry(node).or_insert(connection))
    }

    fn address(&mut self, node: NodeId) -> Result<BrokerAddress, CliError> {
        if !self.brokers.contains_key(&node) {
            self.refresh_brokers()?;
        }
        self.brokers.get(&node).cloned().ok_or_else(|| {
            let known: Vec<_> = self.brokers.keys().map(|node| node.0.to_string()).collect();
            let (id, known) = (node.0, known.join(", "));
            CliError::Usage(format!(
                "broker {id} is not in the cluster; there are: {known}"
            ))
        })
    }

    /// Asks for no topic at all: only the brokers and the controller matter.
    fn refresh_brokers(&mut self) -> Result<(), CliError> {
        let mut request = MetadataRequest::default();
        request.topics = Some(Vec::new());
        request.allow_auto_topic_creation = false;
        let answer = self.ask_any(&request)?;
        self.learn_brokers(&answer);
        Ok(())
    }

    fn disconnect(&mut self, target: Target) {
        let node = match target {
            Target::Any => None,
            Target::Controller => self.controller,
            Target::Broker(node) => Some(node),
        };
        match node {
            Some(node) => drop(self.connections.remove(&node)),
            None => self.seed = None,
        }
    }
}

fn no_such_topic(name: &TopicName) -> CliError {
    CliError::Refused {
        what: format!("find topic {name}"),
        why: "it is not in the cluster".to_owned(),
        next: format!(". See what is there with: topic list; create it with: topic create {name}")
            .into(),
    }
}

/// The error about a partition beyond the topic's last.
pub(crate) fn no_such_partition(topic: &Topic, index: PartitionIndex) -> CliError {
    let (name, count) = (&topic.name, topic.partitions.len());
    CliError::Usage(format!(
        "topic {name} has no partition {}: it has {count}, counted from 0",
        index.0
    ))
}

/// A topic name as the generated structs want it.
#[must_use]
pub fn wire_name(name: &TopicName) -> messages::TopicName {
    messages::TopicName(StrBytes::from_string(name.to_string()))
}

fn bootstrap(addresses: &[BrokerAddress], timeout: Duration) -> Result<Connection, CliError> {
    let mut reasons: Vec<String> = Vec::new();
    for address in addresses {
        match Connection::open(address, timeout) {
            Ok(connection) => return Ok(connection),
            Err(CliError::Connect { reason, .. }) => reasons.push(reason),
            Err(error) if addresses.len() == 1 => return Err(error),
            Err(error) => reasons.push(error.to_string()),
        }
    }
    reasons.dedup();
    let brokers: Vec<_> = addresses.iter().map(ToString::to_string).collect();
    Err(CliError::Unreachable {
        brokers: brokers.join(","),
        reason: reasons.join("; "),
    })
}

fn topic_of(topic: &MetadataResponseTopic) -> Result<Topic, CliError> {
    let name = topic.name.as_ref().map_or("", |name| name.as_str());
    let what = || format!("read the metadata of topic {name:?}");
    let code = topic.error_code;
    if code != ErrorCode::None.code() && !is_unknown_topic(code) {
        return Err(CliError::refused(what(), code, None));
    }
    let name = TopicName::new(name).map_err(|error| CliError::Refused {
        what: what(),
        why: error.to_string(),
        next: "".into(),
    })?;
    let mut partitions: Vec<_> = topic.partitions.iter().map(partition_of).collect();
    partitions.sort_by_key(|partition| partition.index);
    let id = TopicId(topic.topic_id.into_bytes());
    Ok(Topic {
        name,
        id,
        internal: topic.is_internal,
        partitions,
    })
}

fn partition_of(partition: &MetadataResponsePartition) -> Partition {
    let nodes = |ids: &[BrokerId]| ids.iter().map(|id| NodeId(id.0)).collect();
    Partition {
        index: PartitionIndex(partition.partition_index),
        leader: node_of(partition.leader_id),
        leader_epoch: LeaderEpoch(partition.leader_epoch),
        replicas: nodes(&partition.replica_nodes),
        isr: nodes(&partition.isr_nodes),
        offline: nodes(&partition.offline_replicas),
    }
}

/// Negative ids mean "none".
fn node_of(id: BrokerId) -> Option<NodeId> {
    (id.0 >= 0).then_some(NodeId(id.0))
}

/// A new topic takes this long at most to be seen by every broker.
const UNKNOWN_TOPIC_PATIENCE: Duration = Duration::from_secs(1);
/// Creation on first use takes an election on top.
const CREATED_TOPIC_PATIENCE: Duration = Duration::from_secs(5);
