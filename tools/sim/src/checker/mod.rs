//! Judges what happened: a history of facts goes in as it grows, and the first broken promise comes
//! out.
//!
//! | File | What is judged |
//! | --- | --- |
//! | `records` | each send, fetch, end and deletion, as it becomes known |
//! | `scan` | the whole of a partition, when all is over |
//! | `groups` | who owns which partition |
//! | `commits` | which committed offsets may be read |
//! | `replica` | a replica's own numbers, after each step |
//!
//! Two things decide what is binding. *When it was asked*: an answer has to know of everything that
//! was known before its question was sent. *What may be gone*: a power cut may take any suffix of a
//! partition that is flushed now and then, a removed topic everything, a damaged partition what was
//! damaged; nothing may ever take anything else.

mod commits;
mod groups;
mod judge;
mod log;
mod records;
mod replica;
mod rule;
mod scan;
mod sends;
mod stairs;
#[cfg(test)]
mod tests;

pub use judge::Judge;
pub use replica::{ReplicaChecker, ReplicaState};
pub use rule::{Rule, Violation};

use chronik_model::Mono;
use commits::Commits;
use groups::{Given, Owners};
use records::{Fetched, Records, Topic};
use scan::Scan;
use sends::Attempt;

use crate::actor::ActorId;
use crate::history::{Entry, Event, Fact, Happening, Place};

/// See the module.
#[derive(Debug, Default)]
pub struct Checker {
    records: Records,
    owners: Owners,
    commits: Commits,
}

impl Checker {
    /// A checker of an empty history.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes the next entry of the history; entries come by their time.
    ///
    /// # Errors
    /// It breaks a promise.
    pub fn take(&mut self, entry: &Entry) -> Result<(), Violation> {
        self.records.now = entry.at;
        match &entry.what {
            Event::Fact(fact) => self.fact(entry, fact),
            Event::World(happening) => {
                self.happened(entry.at, happening);
                Ok(())
            }
        }
    }

    /// The history is over.
    ///
    /// # Errors
    /// What was promised has not been seen.
    pub fn finish(&self) -> Result<(), Violation> {
        self.records.finish()
    }

    /// The world's word that a partition is on disk up to `end`, so that no power cut takes that.
    pub fn synced(&mut self, place: Place, end: i64) {
        self.records.synced(place, end);
    }

    fn happened(&mut self, at: Mono, happening: &Happening) {
        match happening {
            Happening::Died { power } => {
                self.records.died();
                if *power {
                    self.records.power_cut();
                }
            }
            Happening::Forgotten => self.records.power_cut(),
            Happening::Rebuilt => self.records.rebuilt(),
            Happening::Damaged(place) => self.damaged(*place),
            Happening::Wiped => {
                self.records.wiped();
                self.owners.wiped();
                self.commits.wiped(at);
            }
            Happening::Serves { .. } => self.records.started(),
            Happening::Fault(_) | Happening::Healed => {}
        }
    }

    /// A topic that no client made is one of the broker's own, which hold the groups.
    fn damaged(&mut self, place: Place) {
        if self.records.topics.contains_key(&place.topic) {
            self.records.damaged(place);
        } else {
            self.commits.damaged = true;
        }
    }

    #[expect(
        clippy::too_many_lines,
        reason = "one arm for each fact, none of them long"
    )]
    fn fact(&mut self, entry: &Entry, fact: &Fact) -> Result<(), Violation> {
        let at = entry.at;
        let actor = entry.actor.unwrap_or(ActorId(u16::MAX));
        match fact {
            Fact::Created {
                name,
                topic,
                partitions,
                safety,
                keeps_all,
            } => {
                let told = Topic::new(name, *partitions, *safety, *keeps_all);
                self.records.created(*topic, told);
            }
            Fact::Grown { topic, partitions } => self.records.grown(*topic, *partitions),
            Fact::Deleting(topic) | Fact::Deleted(topic) => self.records.going(*topic),
            Fact::DeletingRecords { place, before } => {
                self.records.deleting_records(*place, *before);
            }
            Fact::DeletedRecords {
                place,
                asked,
                log_start,
            } => self.records.deleted_records(*place, *asked, *log_start)?,
            Fact::ProducerId { id, asked } => self.records.producer(*id, *asked)?,
            Fact::Sent {
                op,
                place,
                values,
                acks,
                sequence,
            } => self.records.sent(&Attempt {
                actor,
                op: *op,
                place: *place,
                values,
                acks: *acks,
                sequence: *sequence,
            })?,
            Fact::SendEnded { op, end } => self.records.send_ended(actor, *op, *end)?,
            Fact::Read {
                reader,
                place,
                asked,
                position,
                records,
                high_watermark,
                log_start,
            } => self.records.fetched(&Fetched {
                actor,
                reader: *reader,
                place: *place,
                asked: *asked,
                position: *position,
                records,
                high_watermark: *high_watermark,
                log_start: *log_start,
            })?,
            Fact::Owns {
                group,
                member,
                epoch,
                places,
            } => self.owners.owns(&Given {
                at,
                actor,
                group: *group,
                member,
                epoch: *epoch,
                places,
            })?,
            Fact::GivesUp {
                group,
                member,
                places,
            } => self.owners.gives_up(*group, member, places.as_deref()),
            Fact::Committing {
                op, group, offsets, ..
            } => self.commits.begin(at, (actor, *op), *group, offsets),
            Fact::CommitEnded { op, end } => self.commits.end(at, (actor, *op), *end),
            Fact::CommitsRead {
                group,
                asked,
                offsets,
            } => self.commits_read(at, *asked, *group, offsets)?,
            Fact::EndRead { place, asked, end } => self.records.end_read(*place, *asked, *end)?,
            Fact::Scanned {
                place,
                log_start,
                high_watermark,
                records,
            } => self.records.scanned(&Scan {
                place: *place,
                log_start: *log_start,
                high_watermark: *high_watermark,
                records,
            })?,
            Fact::Protocol(what) => {
                return Err(Violation::new(Rule::Protocol, at, what.clone()));
            }
        }
        Ok(())
    }

    fn commits_read(
        &mut self,
        at: Mono,
        asked: Mono,
        group: u16,
        offsets: &[(Place, i64)],
    ) -> Result<(), Violation> {
        for (place, offset) in offsets {
            if !self.records.is_going(*place) {
                self.commits.read(at, asked, (group, *place), *offset)?;
            }
        }
        Ok(())
    }
}
