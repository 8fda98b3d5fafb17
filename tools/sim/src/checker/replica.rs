//! A replica's own numbers, as the world reads them out of a broker.

use chronik_model::Mono;
use rustc_hash::FxHashMap;

use super::rule::{Rule, Violation};
use crate::history::Place;

/// A replica's numbers at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReplicaState {
    /// First offset that there is.
    pub log_start: i64,
    /// Behind the last offset that consumers may read.
    pub high_watermark: i64,
    /// Behind the last offset that is as safe as its topic asks for.
    pub stable_end: i64,
    /// Behind the last offset that was given away.
    pub log_end: i64,
}

/// Watches the replicas of one life of a broker.
#[derive(Debug, Default)]
pub struct ReplicaChecker {
    before: FxHashMap<Place, ReplicaState>,
}

impl ReplicaChecker {
    /// Looks at a replica after a step.
    ///
    /// # Errors
    /// Its numbers do not fit together, or one of them went back.
    pub fn look(&mut self, at: Mono, place: Place, now: ReplicaState) -> Result<(), Violation> {
        let before = self.before.insert(place, now).unwrap_or(now);
        let ordered = now.log_start <= now.high_watermark
            && now.high_watermark <= now.stable_end
            && now.stable_end <= now.log_end;
        let rising = before.log_start <= now.log_start
            && before.high_watermark <= now.high_watermark
            && before.stable_end <= now.stable_end
            && before.log_end <= now.log_end;
        if ordered && rising {
            return Ok(());
        }
        let what = format!(
            "partition {} of topic {} went from {before:?} to {now:?}",
            place.partition, place.topic
        );
        Err(Violation::new(Rule::Replica, at, what))
    }

    /// The broker died: its next life begins with what it recovers.
    pub fn died(&mut self) {
        self.before.clear();
    }
}
