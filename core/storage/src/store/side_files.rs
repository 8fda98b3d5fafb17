//! Whole files beside a log's segments, such as snapshots of what the log says.

use bytes::Bytes;

use super::{LogSlot, LogStore, Pending};
use crate::disk::DiskOp;

impl LogStore {
    /// Puts a file beside the segments of a log, behind everything that was asked for before.
    /// [`Completion::Replaced`](super::Completion::Replaced) with `ticket` follows when it is
    /// durable or has failed, which leaves what was there; nothing does once the directory is
    /// offline.
    pub fn replace_file(&mut self, slot: LogSlot, name: &str, bytes: Bytes, ticket: u64) {
        let Some(log) = self.log(slot) else { return };
        let (log_id, path) = (log.log_id, format!("{}/{name}", log.directory).into());
        let op = DiskOp::ReplaceFile {
            log_id,
            path,
            bytes,
        };
        self.request(op, Pending::Replace { ticket });
    }

    /// Removes a file beside the segments of a log.
    pub fn remove_file(&mut self, slot: LogSlot, name: &str) {
        let Some(log) = self.log(slot) else { return };
        let (log_id, path) = (log.log_id, format!("{}/{name}", log.directory).into());
        self.request(DiskOp::RemoveFile { log_id, path }, Pending::Chore);
    }

    /// Closes the active segment of a log, as [`PartitionLog::roll`](crate::log::PartitionLog::roll) does.
    pub fn roll(&mut self, slot: LogSlot) {
        let Some(log) = self.log_mut(slot) else {
            return;
        };
        log.roll();
        self.write_back(slot, false);
    }
}
