//! What a shard makes of the journal's and the disk's answers.

use chronik_model::{ErrorCode, Now};
use chronik_storage::disk::DiskDone;
use chronik_storage::journal::frame::CommittedFrame;
use chronik_storage::store::Completion;

use super::{Control, Shard, ShardOutputs};
use crate::messages::{PartitionAnswer, ShardReply};

impl Shard {
    pub(super) fn committed(&mut self, frame: &CommittedFrame, out: &mut ShardOutputs) {
        self.store.committed(frame);
        for token in &frame.controls {
            let Some(token) = self.store.control_committed(*token) else {
                continue;
            };
            match self.controls.remove(&token) {
                Some(Control::Persist { sequence }) => {
                    out.persisted = out.persisted.max(Some(sequence));
                }
                Some(Control::DeleteRecords {
                    ticket,
                    part,
                    partition,
                    start,
                }) => {
                    let answer = if self.slots.contains_key(&partition) {
                        PartitionAnswer::LogStart(start)
                    } else {
                        PartitionAnswer::Failed(ErrorCode::UnknownTopicOrPartition)
                    };
                    out.replies.push(ShardReply::Partition {
                        ticket,
                        part,
                        answer,
                    });
                }
                None => {}
            }
        }
    }

    pub(super) fn disk_done(&mut self, now: Now, done: DiskDone, out: &mut ShardOutputs) {
        let was_online = self.store.offline().is_none();
        let was_out_of_space = self.store.is_out_of_space();
        match self.store.disk_done(done) {
            Some(Completion::Read { ticket, result }) if self.is_group_load(ticket) => {
                self.group_load_done(now, ticket, result, out);
            }
            Some(Completion::Read { ticket, result }) => self.cold_read_done(ticket, result, out),
            Some(Completion::Range {
                ticket,
                range,
                next_offset,
            }) => self.range_found(ticket, range, next_offset, out),
            Some(Completion::Timestamp { ticket, result }) => self.lookup_done(ticket, result, out),
            Some(Completion::Replaced { ticket, result }) => {
                self.snapshot_done(ticket, result, out);
            }
            None => {}
        }
        out.full |= self.store.take_ran_out();
        match (was_out_of_space, self.store.is_out_of_space()) {
            (false, true) => out.warnings.push(
                "no space left for a segment: produce is refused, reads and deletes go on"
                    .to_owned(),
            ),
            (true, false) => out
                .warnings
                .push("space is back: produce is accepted".to_owned()),
            (false, false) | (true, true) => {}
        }
        if let Some(reason) = self
            .store
            .offline()
            .filter(|_| was_online)
            .map(str::to_owned)
        {
            self.go_offline(&reason, out);
            out.offline = Some(reason);
        }
    }

    /// The directory is lost to this process: every reply that waits is refused.
    pub(super) fn go_offline(&mut self, reason: &str, out: &mut ShardOutputs) {
        self.store.go_offline(reason);
        out.warnings.push(format!(
            "data directory offline: {reason}. Nothing is acknowledged until the disk is repaired and the server started again"
        ));
        for partition in self.partitions.iter_mut().flatten() {
            for parked in partition.parked.drain(..) {
                let result = Err(ErrorCode::KafkaStorageError);
                let (ticket, part) = (parked.ticket, parked.part);
                out.replies.push(ShardReply::Produced {
                    ticket,
                    part,
                    result,
                });
            }
        }
        self.fail_groups(out);
        let mut controls: Vec<_> = self.controls.drain().collect();
        controls.sort_unstable_by_key(|(token, _)| *token);
        for (_, control) in controls {
            if let Control::DeleteRecords { ticket, part, .. } = control {
                let answer = PartitionAnswer::Failed(ErrorCode::KafkaStorageError);
                out.replies.push(ShardReply::Partition {
                    ticket,
                    part,
                    answer,
                });
            }
        }
    }
}
