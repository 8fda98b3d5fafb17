//! CreateTopics: names, configs and layout of new topics.

use std::collections::{BTreeMap, BTreeSet};

use chronik_model::rng::Rng;
use chronik_model::{ErrorCode, NodeId, TopicId, TopicName};

use crate::controller::{Context, Outcome};
use crate::image::{ConfigMap, collision_key};
use crate::placement::{check_assignment, partition_records, place};
use crate::record::{ConfigSet, ConfigTarget, MetadataRecord};
use crate::request::{ControllerReply, CreateTopics, CreatedTopic, NewTopic, RequestError};

/// Partitions of one topic, at most.
pub const MAX_PARTITIONS_PER_TOPIC: i32 = 100_000;
/// Partitions that one request may create, at most; their records are one entry of the log.
pub const MAX_PARTITIONS_PER_REQUEST: i32 = 100_000;

/// Creates what can be created; each topic succeeds or fails on its own.
pub(crate) fn create_topics(
    context: &Context<'_>,
    rng: &mut Rng,
    request: &CreateTopics,
) -> Outcome {
    let duplicates = repeated(request.topics.iter().map(|topic| topic.name.as_str()));
    let mut batch = Batch {
        context,
        rng,
        validate_only: request.validate_only,
        collisions: BTreeMap::new(),
        partitions: 0,
        records: Vec::new(),
    };
    let mut results = Vec::with_capacity(request.topics.len());
    let mut seen = BTreeSet::new();
    for topic in request
        .topics
        .iter()
        .filter(|topic| seen.insert(topic.name.as_str()))
    {
        let result = if duplicates.contains(topic.name.as_str()) {
            let message = format!("topic {} is named more than once", topic.name);
            Err(RequestError::new(ErrorCode::InvalidRequest, message))
        } else {
            batch.create(topic)
        };
        results.push((topic.name.clone(), result));
    }
    let records = if request.validate_only {
        Vec::new()
    } else {
        batch.records
    };
    Outcome {
        records,
        reply: ControllerReply::CreateTopics(results),
    }
}

/// The items that occur more than once.
pub(crate) fn repeated<T: Ord + Copy>(items: impl Iterator<Item = T>) -> BTreeSet<T> {
    let mut seen = BTreeSet::new();
    items.filter(|item| !seen.insert(*item)).collect()
}

struct Batch<'a> {
    context: &'a Context<'a>,
    rng: &'a mut Rng,
    validate_only: bool,
    /// Names of this request, as in the image.
    collisions: BTreeMap<String, TopicName>,
    partitions: i32,
    records: Vec<MetadataRecord>,
}

impl Batch<'_> {
    fn create(&mut self, topic: &NewTopic) -> Result<CreatedTopic, RequestError> {
        let name = self.check_name(&topic.name)?;
        let configs = check_configs(self.context, topic)?;
        let assignments = self.layout(topic)?;
        let partitions = i32::try_from(assignments.len()).unwrap_or(i32::MAX);
        let replicas = assignments.first().map_or(0, Vec::len);
        self.partitions = self.partitions.saturating_add(partitions);
        if let Some(key) = collision_key(name.as_str()) {
            self.collisions.insert(key, name.clone());
        }
        let topic_id = if self.validate_only {
            TopicId::ZERO
        } else {
            self.new_topic_id()
        };
        self.records
            .push(MetadataRecord::TopicCreated { topic_id, name });
        self.records
            .extend(partition_records(topic_id, 0, assignments));
        self.records
            .extend(config_records(ConfigTarget::Topic(topic_id), configs));
        Ok(CreatedTopic {
            topic_id,
            partitions,
            replication_factor: i16::try_from(replicas).unwrap_or(i16::MAX),
        })
    }

    fn check_name(&self, name: &str) -> Result<TopicName, RequestError> {
        let invalid = |message| RequestError::new(ErrorCode::InvalidTopicException, message);
        let topic_name = TopicName::new(name).map_err(|error| invalid(error.to_string()))?;
        if self.context.image.topic_by_name(name).is_some() {
            let message = format!("Topic '{name}' already exists.");
            return Err(RequestError::new(ErrorCode::TopicAlreadyExists, message));
        }
        let in_request = || self.collisions.get(&collision_key(name)?);
        match self.context.image.colliding_topic(name).or_else(in_request) {
            Some(other) => Err(invalid(format!(
                "topic {name} collides with topic {other}: metrics can not tell '.' from '_'"
            ))),
            None => Ok(topic_name),
        }
    }

    /// The replicas of each partition, as the client chose them or as we do.
    fn layout(&mut self, topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, RequestError> {
        if !topic.assignments.is_empty() {
            let assignments = self.check_assignments(topic)?;
            self.check_limits(i32::try_from(assignments.len()).unwrap_or(i32::MAX))?;
            return Ok(assignments);
        }
        let settings = self.context.settings;
        let partitions = match topic.partitions {
            -1 => settings.num_partitions,
            partitions => partitions,
        };
        let replication_factor = match topic.replication_factor {
            -1 => settings.default_replication_factor,
            replication_factor => replication_factor,
        };
        if replication_factor <= 0 {
            let message = format!("replication factor {replication_factor} is not above zero");
            return Err(RequestError::new(
                ErrorCode::InvalidReplicationFactor,
                message,
            ));
        }
        if partitions <= 0 {
            let message = format!("the number of partitions {partitions} is not above zero");
            return Err(RequestError::new(ErrorCode::InvalidPartitions, message));
        }
        self.check_limits(partitions)?;
        place(self.context.image, self.rng, partitions, replication_factor)
    }

    fn check_limits(&self, partitions: i32) -> Result<(), RequestError> {
        check_partition_limit(partitions)?;
        if self.partitions.saturating_add(partitions) > MAX_PARTITIONS_PER_REQUEST {
            let message = format!("a request can create {MAX_PARTITIONS_PER_REQUEST} partitions");
            return Err(RequestError::new(ErrorCode::PolicyViolation, message));
        }
        Ok(())
    }

    fn check_assignments(&self, topic: &NewTopic) -> Result<Vec<Vec<NodeId>>, RequestError> {
        if topic.partitions != -1 || topic.replication_factor != -1 {
            let message =
                "with assignments, the numbers of partitions and of replicas must both be -1";
            return Err(RequestError::new(ErrorCode::InvalidRequest, message));
        }
        let mut assignments: Vec<_> = topic.assignments.iter().collect();
        assignments.sort_by_key(|(partition, _)| *partition);
        let replication_factor = assignments
            .first()
            .map_or(0, |(_, replicas)| replicas.len());
        for (expected, (partition, replicas)) in (0..).zip(&assignments) {
            if partition.0 != expected {
                let message = format!("assignments are not for partitions 0 to n: no {expected}");
                return Err(RequestError::new(
                    ErrorCode::InvalidReplicaAssignment,
                    message,
                ));
            }
            check_assignment(self.context.image, *partition, replicas, replication_factor)?;
        }
        Ok(assignments
            .into_iter()
            .map(|(_, replicas)| replicas.clone())
            .collect())
    }

    /// A random id. Kafka's tools take one that begins with '-' for an option.
    fn new_topic_id(&mut self) -> TopicId {
        loop {
            let topic_id = TopicId(self.rng.bytes16());
            let taken = topic_id == TopicId::ZERO || self.context.image.topic(topic_id).is_some();
            if !taken && !topic_id.to_string().starts_with('-') {
                return topic_id;
            }
        }
    }
}

pub(crate) fn check_partition_limit(partitions: i32) -> Result<(), RequestError> {
    if partitions > MAX_PARTITIONS_PER_TOPIC {
        let message =
            format!("{partitions} partitions; a topic has {MAX_PARTITIONS_PER_TOPIC} at most");
        return Err(RequestError::new(ErrorCode::InvalidPartitions, message));
    }
    Ok(())
}

fn check_configs(context: &Context<'_>, topic: &NewTopic) -> Result<ConfigMap, RequestError> {
    let invalid = |message| RequestError::new(ErrorCode::InvalidConfig, message);
    let mut configs = ConfigMap::new();
    for (key, value) in &topic.configs {
        let value = value
            .as_ref()
            .ok_or_else(|| invalid(format!("{key} has no value")))?;
        context.validator.topic(key, value).map_err(invalid)?;
        configs.insert(key.clone(), value.clone());
    }
    Ok(configs)
}

fn config_records(
    target: ConfigTarget,
    configs: ConfigMap,
) -> impl Iterator<Item = MetadataRecord> {
    configs.into_iter().map(move |(key, value)| {
        MetadataRecord::ConfigSet(ConfigSet {
            target,
            key,
            value: Some(value),
        })
    })
}
