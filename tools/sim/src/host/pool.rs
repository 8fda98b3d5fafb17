//! The disk pool: operations of one log in order, those of different logs side by side.

use std::collections::{BTreeMap, VecDeque};

use chronik_model::LogId;
use chronik_model::rng::Rng;
use chronik_sim_disk::SimDisk;
use chronik_storage::disk::{DiskDone, DiskOp, DiskRequest};

/// See the module. The first operation of every queue is under way.
#[derive(Debug, Default)]
pub(super) struct Pool {
    queues: BTreeMap<(u16, LogId), VecDeque<DiskRequest>>,
}

impl Pool {
    /// Queues an operation. True when it is the first of its log, and begins now.
    pub(super) fn submit(&mut self, shard: u16, request: DiskRequest) -> bool {
        let queue = self.queues.entry((shard, request.op.log_id()));
        let queue = queue.or_default();
        queue.push_back(request);
        queue.len() == 1
    }

    /// Carries out the first operation of a log; also says whether another one begins now.
    pub(super) fn carry_out(
        &mut self,
        disk: &mut SimDisk,
        shard: u16,
        log: LogId,
    ) -> Option<(DiskRequest, DiskDone, bool)> {
        let queue = self.queues.get_mut(&(shard, log))?;
        let request = queue.pop_front()?;
        let more = !queue.is_empty();
        if !more {
            self.queues.remove(&(shard, log));
        }
        let done = DiskDone {
            token: request.token,
            result: disk.carry_out(&request.op),
        };
        Some((request, done, more))
    }

    pub(super) fn is_idle(&self) -> bool {
        self.queues.is_empty()
    }

    /// The process dies in the middle: what is under way is done in part. True when something was.
    pub(super) fn die(&self, disk: &mut SimDisk, rng: &mut Rng) -> bool {
        let underway: Vec<_> = self.queues.values().filter_map(VecDeque::front).collect();
        for request in &underway {
            disk.carry_out_in_part(&request.op, rng);
        }
        !underway.is_empty()
    }
}

/// A short name for what an operation does.
pub(super) const fn name(op: &DiskOp) -> &'static str {
    match op {
        DiskOp::Write { .. } => "write",
        DiskOp::Sync { .. } => "sync",
        DiskOp::Read { .. } => "read",
        DiskOp::FindTimestamp { .. } => "timestamp search",
        DiskOp::Compact { .. } => "compaction step",
        DiskOp::WriteIndex { .. } => "index write",
        DiskOp::ReadIndex { .. } => "index read",
        DiskOp::Truncate { .. } => "truncation",
        DiskOp::RemoveSegment { .. } => "removal of a segment",
        DiskOp::ReplaceFile { .. } => "replacement of a file",
        DiskOp::RemoveFile { .. } => "removal of a file",
        DiskOp::RemoveLog { .. } => "removal",
    }
}
