//! Assignors of the broker: who shall own which partition (KIP-848).
//!
//! They are functions of the members, what they subscribe to and what they were to own before; equal
//! inputs give equal assignments. Every partition of a topic that anyone subscribes to goes to
//! exactly one of its subscribers.

mod balance;
mod range;
mod uniform;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chronik_model::TopicId;

use crate::consumer::Target;

/// A member, as assignors see it.
#[derive(Debug)]
pub(crate) struct MemberSpec<'a> {
    /// Its id.
    pub(crate) member_id: Arc<str>,
    /// Static membership: such members come first, in the order of these ids.
    pub(crate) instance_id: Option<&'a str>,
    /// Topics that it subscribes to; all of them are in [`Spec::topics`].
    pub(crate) topics: Arc<BTreeSet<TopicId>>,
    /// What it was to own.
    pub(crate) previous: Option<&'a Target>,
}

/// A group, as assignors see it.
#[derive(Debug)]
pub(crate) struct Spec<'a> {
    /// Everyone, in the order of ids.
    pub(crate) members: Vec<MemberSpec<'a>>,
    /// Subscribed topics with their number of partitions.
    pub(crate) topics: BTreeMap<TopicId, i32>,
}

impl Spec<'_> {
    /// Whether everyone subscribes to the same topics.
    fn is_homogeneous(&self) -> bool {
        let mut members = self.members.iter();
        let first = members.next();
        members.all(|member| {
            first.is_some_and(|first| {
                Arc::ptr_eq(&first.topics, &member.topics) || first.topics == member.topics
            })
        })
    }
}

/// The assignors there are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Assignor {
    /// As even as can be over all topics; changes no more than that asks for.
    Uniform,
    /// Ranges of each topic, so that topics with equally many partitions are divided alike.
    Range,
}

impl Assignor {
    /// The assignor of that name.
    pub(crate) fn by_name(name: &str) -> Option<Self> {
        match name {
            "uniform" => Some(Self::Uniform),
            "range" => Some(Self::Range),
            _ => None,
        }
    }

    /// What each member shall own, in the order of [`Spec::members`].
    pub(crate) fn assign(self, spec: &Spec<'_>) -> Vec<Target> {
        match self {
            Self::Uniform if spec.is_homogeneous() => uniform::assign(spec),
            Self::Uniform => balance::assign(spec),
            Self::Range => range::assign(spec),
        }
    }
}

#[cfg(test)]
mod tests;
