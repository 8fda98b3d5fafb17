//! A share of the budget, and bytes that hold one.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use bytes::Bytes;
use chronik_storage::store::Keep;

use super::Memory;

/// What memory is held for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Parts of requests that need no place in the line, and requests that wait behind others.
    Requests,
    /// Large requests, from the place that was kept for them until they are handled.
    LargeRequests,
    /// Frames that the journal is writing.
    Journal,
    /// Durable batches, in the tail or only in replies.
    Batches,
    /// Batches that were read from disk, or are about to be.
    ColdReads,
    /// Replies other than batches.
    Replies,
}

impl Kind {
    pub(crate) const ALL: [Self; 6] = [
        Self::Requests,
        Self::LargeRequests,
        Self::Journal,
        Self::Batches,
        Self::ColdReads,
        Self::Replies,
    ];

    /// The label of metrics.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Requests => "requests",
            Self::LargeRequests => "large_requests",
            Self::Journal => "journal",
            Self::Batches => "batches",
            Self::ColdReads => "cold_reads",
            Self::Replies => "replies",
        }
    }

    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Memory that is accounted for until this is dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    memory: Arc<Memory>,
    kind: Kind,
    bytes: u64,
}

impl Lease {
    pub(super) fn new(memory: Arc<Memory>, kind: Kind, bytes: u64) -> Self {
        memory.change(kind, |held| held.fetch_add(bytes, Ordering::Relaxed));
        Self {
            memory,
            kind,
            bytes,
        }
    }

    /// Bytes of it.
    pub(crate) const fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Makes it larger, without asking, or smaller.
    pub(crate) fn resize(&mut self, bytes: u64) {
        let before = std::mem::replace(&mut self.bytes, bytes);
        self.memory.change(self.kind, |held| {
            held.fetch_add(bytes, Ordering::Relaxed);
            held.fetch_sub(before, Ordering::Relaxed)
        });
        if bytes < before {
            self.memory.settle();
        }
    }

    /// Ties the lease to the bytes that it is for: it ends with the last slice of them.
    pub(crate) fn keep(self, bytes: Bytes) -> Bytes {
        Bytes::from_owner(Kept {
            bytes,
            _lease: self,
        })
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        let bytes = self.bytes;
        self.memory
            .change(self.kind, |held| held.fetch_sub(bytes, Ordering::Relaxed));
        self.memory.settle();
    }
}

/// Accounts for batches of topics that do without the journal.
#[derive(Debug)]
pub(super) struct BatchKeeper(pub(super) Arc<Memory>);

impl Keep for BatchKeeper {
    fn keep(&self, bytes: Bytes) -> Bytes {
        self.0.take(Kind::Batches, bytes.len()).keep(bytes)
    }
}

/// The bytes go first, then the lease.
struct Kept {
    bytes: Bytes,
    _lease: Lease,
}

impl AsRef<[u8]> for Kept {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}
