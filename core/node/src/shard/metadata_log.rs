//! The metadata log, on the shard that hosts it, and the snapshots beside it.
//!
//! ```text
//! snapshot: close the segment - write the file - durable, told to the controller - trim
//! ```

use bytes::Bytes;
use chronik_controller::{Entry, HardState};
use chronik_model::LogId;
use chronik_model::batch::BatchHeader;
use chronik_model::config::TopicConfig;
use chronik_storage::disk::DiskError;
use chronik_storage::journal::Operation;
use chronik_storage::log::{LogConfig, PartitionLog};
use chronik_storage::store::{Append, METADATA_DIRECTORY, METADATA_PARTITION};

use super::metadata::log_config;
use super::{Control, Shard, ShardOutputs};
use crate::metadata_log::{encode_entry, vote_of};
use crate::metadata_snapshot::{MetadataTrim, SnapshotId};
use crate::quorum::SnapshotWritten;

impl Shard {
    /// Appends entries to the metadata log. The hard state goes last into the same or a later frame,
    /// so that its being durable says that the entries are.
    pub(super) fn persist(
        &mut self,
        sequence: u64,
        hard_state: Option<HardState>,
        entries: &[Entry],
        out: &mut ShardOutputs,
    ) {
        let slot = self.metadata.unwrap_or_else(|| {
            let log = PartitionLog::new(
                LogId::METADATA,
                METADATA_PARTITION,
                METADATA_DIRECTORY.into(),
                config(),
            );
            self.store.adopt(log)
        });
        self.metadata = Some(slot);
        for entry in entries {
            let Some(bytes) = encode_entry(entry).map(Bytes::from) else {
                out.warnings
                    .push(format!("metadata entry {} can not be stored", entry.index));
                return;
            };
            let Ok(header) = BatchHeader::parse(&bytes) else {
                return;
            };
            let leader_epoch = header.leader_epoch();
            let append = Append {
                header: &header,
                batch: &bytes,
                leader_epoch,
                append_time_ms: None,
            };
            self.store.append(slot, &append);
        }
        if let Some(state) = hard_state {
            self.vote = vote_of(&state);
        }
        let token = self.control(Control::Persist { sequence });
        let (term, vote, commit) = (self.vote.term, self.vote.vote, self.vote.commit);
        self.store
            .journal_directory_control(&Operation::Vote { term, vote, commit }, Some(token));
    }

    /// Writes a snapshot behind the entries that it holds. Those go as whole segments, so the one that
    /// has the last of them takes no more.
    pub(super) fn write_snapshot(&mut self, id: SnapshotId, bytes: Bytes) {
        let Some(slot) = self.metadata else { return };
        self.store.roll(slot);
        self.snapshot = Some(id);
        self.store
            .replace_file(slot, &id.file_name(), bytes, id.index);
    }

    pub(super) fn snapshot_done(
        &mut self,
        ticket: u64,
        result: Result<(), DiskError>,
        out: &mut ShardOutputs,
    ) {
        let Some(id) = self.snapshot.take_if(|id| id.index == ticket) else {
            return;
        };
        let durable = result.is_ok();
        if let Err(error) = result {
            out.warnings.push(format!(
                "metadata snapshot not written: {error}. The metadata log keeps everything until the next one"
            ));
        }
        out.snapshot = Some(SnapshotWritten { id, durable });
    }

    /// A snapshot is durable: what lies before the ones that are kept may go.
    pub(super) fn trim_metadata(&mut self, trim: &MetadataTrim) {
        let Some(slot) = self.metadata else { return };
        for id in &trim.remove {
            self.store.remove_file(slot, &id.file_name());
        }
        let log = self.store.log(slot);
        if log.is_some_and(|log| log.log_start < trim.start) {
            self.store.delete_records(slot, trim.start, None);
        }
    }
}

/// The metadata log is journaled and keeps everything but what snapshots hold.
pub(super) fn config() -> LogConfig {
    log_config(&TopicConfig {
        retention_ms: None,
        ..TopicConfig::default()
    })
}
