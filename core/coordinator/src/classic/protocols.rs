//! Which protocols a group may use, and which of them it does.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::{ClassicGroup, State};

impl ClassicGroup {
    /// Whether a member with these protocols can be in the group: there has to be one that all
    /// members support.
    pub(crate) fn supports(&self, protocol_type: &str, protocols: &[(String, Bytes)]) -> bool {
        if self.state == State::Empty {
            return !protocol_type.is_empty() && !protocols.is_empty();
        }
        let by_all = |(name, _): &(String, Bytes)| {
            self.support.get(name.as_str()).copied().unwrap_or_default() == self.members.len()
        };
        self.protocol_type() == Some(protocol_type) && protocols.iter().any(by_all)
    }

    /// The protocol with the most votes: each member votes for the best of its protocols that all
    /// members support. Of equals, the first by name.
    pub(crate) fn select_protocol(&self) -> Option<Arc<str>> {
        let by_all = |name: &str| self.support.get(name) == Some(&self.members.len());
        let mut votes: BTreeMap<&Arc<str>, usize> = BTreeMap::new();
        for member in self.members.values() {
            let vote = member.protocols.iter().find(|(name, _)| by_all(name));
            if let Some((name, _)) = vote {
                *votes.entry(name).or_default() += 1;
            }
        }
        let mut best: Option<(&Arc<str>, usize)> = None;
        for (name, count) in votes {
            if best.is_none_or(|(_, most)| most < count) {
                best = Some((name, count));
            }
        }
        best.map(|(name, _)| Arc::clone(name))
    }
}
