//! What is known of one partition: which record stands at which offset, and what power cuts may have
//! taken.
//!
//! ```text
//!            certain to stay     |  the cut may have taken it
//!   0 ---------------------- firm[cut] --------------------- end
//! ```
//!
//! Only partitions that are flushed now and then have a right-hand side. What a cut takes is a suffix:
//! a record from before it that is read after it shows that all before that record stayed. A record
//! that stands where another stood shows that the other was cut off, with all behind it.

use std::collections::BTreeMap;
use std::ops::RangeBounds;

use chronik_model::Mono;

use super::stairs::Stairs;
use crate::history::Value;

/// How many power cuts there were before something.
pub(super) type Era = usize;

/// A record at its offset.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) value: Value,
    /// When it was last known to be there.
    pub(super) era: Era,
}

/// What looking at an offset told.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Seen {
    /// It was known to stand there.
    Before,
    /// It is new; these are gone, which it shows.
    New(Vec<(i64, Value)>),
    /// The look is older than what is known: it tells nothing.
    Stale,
    /// Another stands there.
    Other(Value),
}

/// One partition.
#[derive(Debug)]
pub(super) struct Log {
    known: BTreeMap<i64, Known>,
    /// Whether a power cut may take what was acknowledged.
    pub(super) lazy: bool,
    /// For each power cut, the end of what it certainly left.
    firm: Vec<i64>,
    /// What its end is at least.
    pub(super) ends: Stairs,
    /// What its start is at least.
    pub(super) starts: Stairs,
    /// Up to where somebody asked to delete.
    pub(super) deletable: i64,
    /// Up to where a deletion was acknowledged.
    pub(super) deleted: i64,
    /// Whether its only copy was damaged: absence is no loss.
    pub(super) damaged: bool,
    /// Whether it was read from its start to its end when all was over.
    pub(super) scanned: bool,
}

impl Log {
    /// A partition of which nothing is known.
    pub(super) fn new(lazy: bool) -> Self {
        Self {
            known: BTreeMap::new(),
            lazy,
            firm: Vec::new(),
            ends: Stairs::default(),
            starts: Stairs::default(),
            deletable: 0,
            deleted: 0,
            damaged: false,
            scanned: false,
        }
    }

    /// A record was seen, or acknowledged, at an offset by somebody who asked in `era`.
    pub(super) fn see(&mut self, offset: i64, value: Value, era: Era) -> Seen {
        let lazy = self.lazy;
        let Some(known) = self.known.get_mut(&offset) else {
            self.known.insert(offset, Known { value, era });
            return Seen::New(Vec::new());
        };
        if known.value == value {
            if lazy && known.era < era {
                let before = std::mem::replace(&mut known.era, era);
                self.survived(offset, before, era);
            }
            return Seen::Before;
        }
        if lazy && known.era > era {
            return Seen::Stale;
        }
        let old = *known;
        if !self.is_at_risk(offset, old, era) {
            return Seen::Other(old.value);
        }
        let gone = self.cut(offset, era);
        self.known.insert(offset, Known { value, era });
        Seen::New(gone)
    }

    /// Whether what was known at an offset may be gone by `era`.
    pub(super) fn is_at_risk(&self, offset: i64, known: Known, era: Era) -> bool {
        let mut cuts = known.era..era;
        self.lazy && cuts.any(|cut| self.firm.get(cut).is_none_or(|firm| offset >= *firm))
    }

    /// Whether any copy of a batch at that offset may be gone by `era`.
    pub(super) fn may_be_gone(&self, offset: i64, era: Era) -> bool {
        let known = self.known.get(&offset);
        known.is_none_or(|known| self.is_at_risk(offset, *known, era))
    }

    /// A record that was there in era `before` is there in `era`: the cuts between left all in front
    /// of it.
    pub(super) fn survived(&mut self, offset: i64, before: Era, era: Era) {
        for firm in self.firm.iter_mut().take(era).skip(before) {
            *firm = offset.saturating_add(1).max(*firm);
        }
    }

    /// The power went, for the first time or again. Below `synced` everything was safe.
    pub(super) fn power_cut(&mut self, now: Mono, synced: i64, cut: usize) {
        if self.lazy {
            self.firm.resize(cut, 0);
            self.firm.push(synced);
            self.ends.restart(now, synced);
        }
    }

    /// What is known in a range, by offset.
    pub(super) fn range(
        &self,
        range: impl RangeBounds<i64>,
    ) -> impl Iterator<Item = (i64, Known)> + '_ {
        self.known
            .range(range)
            .map(|(offset, known)| (*offset, *known))
    }

    /// Whether nothing was ever seen here.
    pub(super) fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// Forgets what stood at `offset` and behind before `era`.
    fn cut(&mut self, offset: i64, era: Era) -> Vec<(i64, Value)> {
        let old = self.known.range(offset..).filter(|(_, it)| it.era < era);
        let gone: Vec<_> = old.map(|(offset, it)| (*offset, it.value)).collect();
        for (offset, _) in &gone {
            self.known.remove(offset);
        }
        gone
    }
}
