//! All groups of one partition of `__consumer_offsets`.

use chronik_model::{Mono, Now};

use crate::config::GroupConfig;
use crate::outcome::{Outcome, Record, Waiter};
use crate::request::GroupRequest;
use crate::response::GroupResponse;
use crate::topics::Topics;

/// See the module.
#[derive(Debug)]
pub struct GroupCoordinator {
    config: GroupConfig,
}

impl GroupCoordinator {
    /// A coordinator without groups, to be fed with the records of its partition.
    ///
    /// `seed` makes the ids of members that join without one.
    #[must_use]
    pub fn new(config: GroupConfig, _seed: u64) -> Self {
        Self { config }
    }

    /// New settings hold for what comes.
    pub fn configure(&mut self, config: GroupConfig) {
        self.config = config;
    }

    /// Takes in one record of the partition, in order. A record that can not be read says why; it
    /// changes nothing, and the ones behind it still count.
    ///
    /// # Errors
    /// The record is of no known kind, or damaged.
    pub fn replay(&mut self, _record: &Record) -> Result<(), String> {
        Ok(())
    }

    /// All records were replayed: members have a whole session from now on to be heard of.
    pub fn loaded(&mut self, _now: Now, _topics: &dyn Topics, _out: &mut Outcome) {}

    /// Takes one request. Its reply comes with this or a later outcome, once.
    pub fn handle(
        &mut self,
        _now: Now,
        _topics: &dyn Topics,
        waiter: Waiter,
        _request: GroupRequest,
        out: &mut Outcome,
    ) {
        let unavailable =
            GroupResponse::Unavailable(chronik_model::ErrorCode::CoordinatorNotAvailable);
        out.replies.push((waiter, unavailable));
    }

    /// Topics were made, changed or deleted. Offsets of deleted topics (named) are removed.
    pub fn topics_changed(
        &mut self,
        _now: Now,
        _topics: &dyn Topics,
        _deleted: &[String],
        _out: &mut Outcome,
    ) {
    }

    /// Does what is due.
    pub fn tick(&mut self, _now: Now, _topics: &dyn Topics, _out: &mut Outcome) {}

    /// When [`GroupCoordinator::tick`] is wanted.
    #[must_use]
    pub fn deadline(&self) -> Option<Mono> {
        None
    }
}
