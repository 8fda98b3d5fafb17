//! What one actor knows of the run's topics: which exist, under which id, with how many partitions.

use std::collections::BTreeSet;

use chronik_model::TopicId;
use chronik_protocol::messages::metadata_request::MetadataRequestTopic;
use chronik_protocol::messages::{
    MetadataRequest, MetadataResponse, StrBytes, TopicName, topic_id,
};

use super::topics::{Role, Topics};
use crate::actor::ActorOutputs;
use crate::history::{Fact, Place};

/// A topic that exists, as far as the actor knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Known {
    /// Its id.
    pub id: TopicId,
    /// Its partitions.
    pub partitions: i32,
}

/// A partition, and which topic of the run it is one of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Spot {
    /// Index of the topic among [`Topics`].
    pub plan: usize,
    /// The partition.
    pub place: Place,
}

/// See the module.
#[derive(Debug)]
pub struct Catalog {
    topics: Topics,
    known: Vec<Option<Known>>,
    told: BTreeSet<TopicId>,
    /// The topics that last are gone, or others have their names.
    wiped: bool,
}

impl Catalog {
    /// Knows the conventions, and of no topic that it exists.
    #[must_use]
    pub fn new(topics: Topics) -> Self {
        let known = topics.all().iter().map(|_| None).collect();
        let told = BTreeSet::new();
        Self {
            topics,
            known,
            told,
            wiped: false,
        }
    }

    /// The conventions.
    #[must_use]
    pub fn topics(&self) -> &Topics {
        &self.topics
    }

    /// What is known of one topic.
    #[must_use]
    pub fn known(&self, plan: usize) -> Option<Known> {
        self.known.get(plan).copied().flatten()
    }

    /// The name of a topic, as requests have it.
    #[must_use]
    pub fn name(&self, plan: usize) -> TopicName {
        let name = self.topics.get(plan).map(|it| it.name.clone());
        TopicName(StrBytes::from_string(name.unwrap_or_default()))
    }

    /// The partitions of one topic that exist.
    pub fn spots(&self, plan: usize) -> impl Iterator<Item = Spot> + use<> {
        let known = self.known(plan);
        let partitions = 0..known.map_or(0, |it| it.partitions);
        let topic = known.map_or(TopicId::ZERO, |it| it.id);
        partitions.map(move |partition| Spot {
            plan,
            place: Place { topic, partition },
        })
    }

    /// Whether every topic of the run is known to exist.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.known.iter().all(Option::is_some)
    }

    /// Whether a topic is known whose absence would tell that the brokers have lost everything.
    #[must_use]
    pub fn knows_lasting(&self) -> bool {
        let lasting = self.topics.which(|plan| plan.role == Role::Lasting);
        lasting.iter().any(|plan| self.known(*plan).is_some())
    }

    /// Whether that partition is still one of the topic of that name.
    #[must_use]
    pub fn is_current(&self, spot: &Spot) -> bool {
        self.known(spot.plan)
            .is_some_and(|it| it.id == spot.place.topic)
    }

    /// Which topic has that id.
    #[must_use]
    pub fn plan_of(&self, id: TopicId) -> Option<usize> {
        let is = |known: &Option<Known>| known.is_some_and(|known| known.id == id);
        self.known.iter().position(is)
    }

    /// The question for all of the run's topics; `version` must have topic ids.
    #[must_use]
    pub fn question(&self) -> MetadataRequest {
        let names = (0..self.topics.all().len())
            .map(|plan| MetadataRequestTopic::default().with_name(Some(self.name(plan))));
        MetadataRequest::default()
            .with_topics(Some(names.collect()))
            .with_allow_auto_topic_creation(false)
    }

    /// Takes the answer, and tells what is new in it.
    pub fn learn(&mut self, response: &MetadataResponse, out: &mut ActorOutputs) {
        for topic in &response.topics {
            let name = topic.name.as_ref().map_or("", |name| name);
            let Some(plan) = self.topics.index_of(name) else {
                continue;
            };
            let partitions = i32::try_from(topic.partitions.len()).unwrap_or(i32::MAX);
            match topic.error_code {
                0 => self.note(plan, topic_id(topic.topic_id), partitions, out),
                UNKNOWN_TOPIC_OR_PARTITION => self.forget(plan),
                _ => {}
            }
        }
    }

    /// A topic exists.
    pub fn note(&mut self, plan: usize, id: TopicId, partitions: i32, out: &mut ActorOutputs) {
        let (Some(place), Some(convention)) = (self.known.get_mut(plan), self.topics.get(plan))
        else {
            return;
        };
        if partitions == 0 || id == TopicId::ZERO {
            return;
        }
        let before = place.replace(Known { id, partitions });
        let is_other = before.is_some_and(|before| before.id != id);
        self.wiped |= is_other && convention.role == Role::Lasting;
        let has_grown = before.is_some_and(|it| it.id == id && it.partitions < partitions);
        if has_grown {
            let topic = id;
            out.facts.push(Fact::Grown { topic, partitions });
        }
        if self.told.insert(id) {
            out.facts.push(Fact::Created {
                name: convention.name.clone(),
                topic: id,
                partitions,
                safety: convention.safety,
                keeps_all: convention.keeps_all,
            });
        }
    }

    /// A topic does not exist.
    pub fn forget(&mut self, plan: usize) {
        let lasts = self.topics.get(plan).map(|it| it.role) == Some(Role::Lasting);
        let known = self.known.get_mut(plan).and_then(Option::take);
        self.wiped |= known.is_some() && lasts;
    }

    /// Whether the brokers have lost everything since this was last asked: what they gave out before,
    /// producer ids among it, they may give to others now.
    pub fn take_wiped(&mut self) -> bool {
        std::mem::take(&mut self.wiped)
    }

    /// Partitions of existing topics that may be named where ids can not be used.
    #[must_use]
    pub fn usable(&self, by_id: bool) -> Vec<usize> {
        let usable = |plan: &super::topics::TopicPlan| by_id || plan.role == Role::Lasting;
        self.topics.which(usable)
    }
}

const UNKNOWN_TOPIC_OR_PARTITION: i16 = 3;
