//! What the coordinator may know of topics.

use chronik_model::TopicId;

/// One topic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopicInfo<'a> {
    /// Name.
    pub name: &'a str,
    /// Id.
    pub id: TopicId,
    /// Number of partitions.
    pub partitions: i32,
}

/// The cluster's topics at one moment.
pub trait Topics {
    /// The topic of that name.
    fn by_name(&self, name: &str) -> Option<TopicInfo<'_>>;
    /// The topic of that id.
    fn by_id(&self, id: TopicId) -> Option<TopicInfo<'_>>;
    /// Calls `each` with every topic, in the order of names.
    fn for_each(&self, each: &mut dyn FnMut(TopicInfo<'_>));
    /// Grows with every change of any topic. An equal version means equal topics.
    fn version(&self) -> i64;
}

/// A cluster without topics.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoTopics;

impl Topics for NoTopics {
    fn by_name(&self, _name: &str) -> Option<TopicInfo<'_>> {
        None
    }

    fn by_id(&self, _id: TopicId) -> Option<TopicInfo<'_>> {
        None
    }

    fn for_each(&self, _each: &mut dyn FnMut(TopicInfo<'_>)) {}

    fn version(&self) -> i64 {
        0
    }
}
