//! The entries since the last snapshot, in memory, as the raft library reads them. What is here is
//! on its way to disk; the library itself tracks what has arrived.

use std::collections::VecDeque;

use bytes::Bytes;
use raft::eraftpb;
use raft::{GetEntriesContext, RaftState, StorageError};

use crate::consensus::ConsensusSnapshot;

#[derive(Debug)]
pub(crate) struct RaftStorage {
    /// As it was when the node started; the library keeps the current one.
    pub(crate) hard_state: eraftpb::HardState,
    pub(crate) voters: Vec<u64>,
    pub(crate) snapshot: ConsensusSnapshot,
    /// Consecutive, from `snapshot.index + 1` on.
    pub(crate) entries: VecDeque<eraftpb::Entry>,
}

impl RaftStorage {
    pub(crate) fn last(&self) -> u64 {
        self.entries
            .back()
            .map_or(self.snapshot.index, |entry| entry.index)
    }

    /// Appends, after removing what the new entries replace.
    pub(crate) fn append(&mut self, entries: &[eraftpb::Entry]) {
        let Some(first) = entries.first() else { return };
        assert!(
            first.index > self.snapshot.index && first.index <= self.last() + 1,
            "entry {} does not follow a log from {} to {}",
            first.index,
            self.snapshot.index,
            self.last()
        );
        self.entries.truncate(self.position(first.index));
        self.entries.extend(entries.iter().cloned());
    }

    pub(crate) fn compact(&mut self, snapshot: ConsensusSnapshot) {
        if snapshot.index <= self.snapshot.index {
            return;
        }
        let kept = self.position(snapshot.index + 1).min(self.entries.len());
        self.entries.drain(..kept);
        self.snapshot = snapshot;
    }

    /// Starts anew after a peer's snapshot.
    pub(crate) fn install(&mut self, snapshot: ConsensusSnapshot) {
        self.entries.clear();
        self.snapshot = snapshot;
    }

    fn position(&self, index: u64) -> usize {
        usize::try_from(index.saturating_sub(self.snapshot.index + 1)).unwrap_or(usize::MAX)
    }

    fn conf_state(&self) -> eraftpb::ConfState {
        eraftpb::ConfState {
            voters: self.voters.clone(),
            ..eraftpb::ConfState::default()
        }
    }
}

impl raft::Storage for RaftStorage {
    fn initial_state(&self) -> raft::Result<RaftState> {
        Ok(RaftState::new(self.hard_state.clone(), self.conf_state()))
    }

    fn entries(
        &self,
        low: u64,
        high: u64,
        max_size: impl Into<Option<u64>>,
        _context: GetEntriesContext,
    ) -> raft::Result<Vec<eraftpb::Entry>> {
        if low <= self.snapshot.index {
            return Err(StorageError::Compacted.into());
        }
        if high > self.last() + 1 {
            return Err(StorageError::Unavailable.into());
        }
        let count = usize::try_from(high.saturating_sub(low)).unwrap_or(usize::MAX);
        let mut room = max_size.into().unwrap_or(u64::MAX);
        let mut taken = Vec::new();
        for entry in self.entries.iter().skip(self.position(low)).take(count) {
            let bytes = u64::try_from(entry.data.len()).unwrap_or(u64::MAX);
            // At least one, however large, or a large entry would never be sent.
            if bytes > room && !taken.is_empty() {
                break;
            }
            room = room.saturating_sub(bytes);
            taken.push(entry.clone());
        }
        Ok(taken)
    }

    fn term(&self, index: u64) -> raft::Result<u64> {
        if index == self.snapshot.index {
            return Ok(self.snapshot.term);
        }
        if index < self.snapshot.index {
            return Err(StorageError::Compacted.into());
        }
        let entry = self
            .entries
            .get(self.position(index))
            .ok_or(StorageError::Unavailable)?;
        Ok(entry.term)
    }

    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.snapshot.index + 1)
    }

    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.last())
    }

    fn snapshot(&self, request_index: u64, _to: u64) -> raft::Result<eraftpb::Snapshot> {
        if self.snapshot.index < request_index || self.snapshot.index == 0 {
            return Err(StorageError::SnapshotTemporarilyUnavailable.into());
        }
        let mut snapshot = eraftpb::Snapshot {
            data: self.snapshot.bytes.clone(),
            ..Default::default()
        };
        let metadata = snapshot.mut_metadata();
        metadata.index = self.snapshot.index;
        metadata.term = self.snapshot.term;
        metadata.set_conf_state(self.conf_state());
        Ok(snapshot)
    }
}

/// Before the first entry.
pub(crate) const fn empty_snapshot() -> ConsensusSnapshot {
    ConsensusSnapshot {
        index: 0,
        term: 0,
        bytes: Bytes::new(),
    }
}
