//! Who owns which partition in a group.

use std::collections::BTreeMap;

use chronik_model::Mono;
use rustc_hash::FxHashMap;

use super::rule::{Rule, Violation};
use crate::actor::ActorId;
use crate::history::Place;

/// A member of a group, as its client knows it.
type Member = (u16, String);

/// Who has a partition.
#[derive(Debug, Clone)]
struct Owner {
    member: String,
    actor: ActorId,
    epoch: i32,
    since: Mono,
}

/// A member was given partitions.
#[derive(Debug, Clone, Copy)]
pub(super) struct Given<'a> {
    pub(super) at: Mono,
    pub(super) actor: ActorId,
    pub(super) group: u16,
    pub(super) member: &'a str,
    pub(super) epoch: i32,
    pub(super) places: &'a [Place],
}

/// All groups.
#[derive(Debug, Default)]
pub(super) struct Owners {
    owners: BTreeMap<(u16, Place), Owner>,
    epochs: FxHashMap<Member, i32>,
}

impl Owners {
    /// A member works on these partitions from now on, and on no others.
    pub(super) fn owns(&mut self, given: &Given<'_>) -> Result<(), Violation> {
        self.check_epoch(given)?;
        self.owners.retain(|(group, place), owner| {
            let mine = *group == given.group && owner.member == given.member;
            !mine || given.places.contains(place)
        });
        for place in given.places {
            self.take(given, *place)?;
        }
        Ok(())
    }

    /// A member has some partitions no longer, or none at all.
    pub(super) fn gives_up(&mut self, group: u16, member: &str, places: Option<&[Place]>) {
        self.owners.retain(|(of, place), owner| {
            let mine = *of == group && owner.member == member;
            !mine || places.is_some_and(|gone| !gone.contains(place))
        });
        if places.is_none() {
            self.epochs.remove(&(group, member.to_owned()));
        }
    }

    /// The groups are gone with everything else.
    pub(super) fn wiped(&mut self) {
        self.owners.clear();
        self.epochs.clear();
    }

    fn check_epoch(&mut self, given: &Given<'_>) -> Result<(), Violation> {
        let member = (given.group, given.member.to_owned());
        let before = self.epochs.insert(member, given.epoch);
        match before {
            Some(before) if before > given.epoch => {
                let what = format!(
                    "member {} of group {} has epoch {} after epoch {before}",
                    given.member, given.group, given.epoch
                );
                Err(Violation::new(Rule::EpochWentBack, given.at, what))
            }
            Some(_) | None => Ok(()),
        }
    }

    fn take(&mut self, given: &Given<'_>, place: Place) -> Result<(), Violation> {
        let owner = Owner {
            member: given.member.to_owned(),
            actor: given.actor,
            epoch: given.epoch,
            since: given.at,
        };
        let key = (given.group, place);
        let Some(before) = self.owners.insert(key, owner) else {
            return Ok(());
        };
        if before.member == given.member && before.actor == given.actor {
            if let Some(owner) = self.owners.get_mut(&key) {
                owner.since = before.since;
            }
            return Ok(());
        }
        let what = format!(
            "partition {} of topic {} has member {} of group {} at epoch {}, and still member {} at \
             epoch {} since {} ms",
            place.partition,
            place.topic,
            given.member,
            given.group,
            given.epoch,
            before.member,
            before.epoch,
            before.since.0 / 1_000_000
        );
        Err(Violation::new(Rule::TwoOwners, given.at, what))
    }
}
