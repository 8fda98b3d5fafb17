//! Reads of segments that are under way: their memory is taken when they are asked for.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use chronik_storage::disk::{DiskData, DiskDone, DiskOp, DiskRequest};

use super::{Kind, Lease, Memory};
use crate::hub::lock;

/// Leases of reads under way, by shard and token.
#[derive(Debug, Default)]
pub(crate) struct ColdReads {
    underway: Mutex<HashMap<(usize, u64), Lease>>,
}

impl ColdReads {
    /// Takes memory for the reads among operations that are about to be queued.
    pub(crate) fn begin(&self, memory: &Arc<Memory>, shard: usize, requests: &[DiskRequest]) {
        for request in requests {
            let DiskOp::Read { selection, .. } = &request.op else {
                continue;
            };
            let present = selection
                .end_position
                .saturating_sub(selection.start.position);
            let present = usize::try_from(present).unwrap_or(usize::MAX);
            let lease = memory.take(Kind::ColdReads, selection.max_bytes.min(present));
            lock(&self.underway).insert((shard, request.token.0), lease);
        }
    }

    /// Ties what was read to its memory.
    pub(crate) fn end(&self, shard: usize, done: &mut DiskDone) {
        let lease = lock(&self.underway).remove(&(shard, done.token.0));
        let Ok(DiskData::Batches(selected)) = &mut done.result else {
            return;
        };
        if let Some(mut lease) = lease.filter(|_| !selected.bytes.is_empty()) {
            // The buffer has room for what was asked, and for one batch in any case.
            let bytes = lease.bytes().max(selected.bytes.len() as u64);
            lease.resize(bytes);
            selected.bytes = lease.keep(std::mem::take(&mut selected.bytes));
        }
    }
}
