//! Loading a coordinator: every record of its partition is replayed before it answers.

use bytes::Bytes;
use chronik_coordinator::Record;
use chronik_model::batch::{BatchView, batches, records};
use chronik_model::compression::{DecompressLimits, Decompressor};
use chronik_model::{Now, Offset};
use chronik_storage::LogSlot;
use chronik_storage::disk::DiskError;
use chronik_storage::select::Selected;
use chronik_storage::store::{ReadOutcome, ReadRequest};

use super::{Hosted, OFFSETS_TOPIC, State, Step};
use crate::shard::{Shard, ShardOutputs};

/// Bytes that one read asks for.
const READ_BYTES: usize = 1 << 20;

impl Shard {
    /// Begins to load the coordinators that were started since the last call.
    pub(in crate::shard) fn load_groups(&mut self, now: Now, out: &mut ShardOutputs) {
        let loading = |hosted: &Hosted| matches!(hosted.state, State::Loading { .. });
        let groups = &self.groups;
        let mut started: Vec<LogSlot> = groups
            .hosted
            .iter()
            .filter_map(|(slot, hosted)| loading(hosted).then_some(*slot))
            .collect();
        let underway: Vec<LogSlot> = {
            let mut tickets: Vec<u64> = groups.loads.keys().copied().collect();
            tickets.sort_unstable();
            tickets
                .iter()
                .filter_map(|ticket| groups.loads.get(ticket).copied())
                .collect()
        };
        started.retain(|slot| !underway.contains(slot));
        for slot in started {
            self.load_on(now, slot, out);
        }
    }

    /// Whether a read from disk belongs to a load.
    pub(in crate::shard) fn is_group_load(&self, ticket: u64) -> bool {
        self.groups.loads.contains_key(&ticket)
    }

    /// A read of a load came back from disk.
    pub(in crate::shard) fn group_load_done(
        &mut self,
        now: Now,
        ticket: u64,
        result: Result<Selected, DiskError>,
        out: &mut ShardOutputs,
    ) {
        let Some(slot) = self.groups.loads.remove(&ticket) else {
            return;
        };
        match result {
            Ok(selected) => {
                self.replay_bytes(slot, &selected.bytes, selected.next_offset, out);
                self.load_on(now, slot, out);
            }
            Err(error) => self.fail_load(slot, &error.to_string(), out),
        }
    }

    /// Reads until the disk has to be asked or everything is replayed.
    fn load_on(&mut self, now: Now, slot: LogSlot, out: &mut ShardOutputs) {
        // What is left of a damaged log would have groups begin with offsets of long ago.
        if let Some(reason) = self.store.log(slot).and_then(|log| log.failed.clone()) {
            return self.fail_load(slot, &reason, out);
        }
        while let Some((next, end)) = self.loading(slot) {
            if next >= end {
                if let Some(hosted) = self.groups.hosted.get_mut(&slot) {
                    hosted.state = State::Ready;
                }
                self.step_groups(now, slot, Step::Loaded, out);
                return;
            }
            let request = ReadRequest {
                from: next,
                bound: end,
                max_bytes: READ_BYTES,
                at_least_one: true,
                as_range: false,
            };
            let ticket = self.cold.ticket();
            match self.store.read(slot, &request, ticket) {
                ReadOutcome::OnDisk => {
                    self.groups.loads.insert(ticket, slot);
                    return;
                }
                ReadOutcome::Batches { pieces, .. } => {
                    let bytes = Bytes::from(pieces.concat());
                    let behind = |bytes: &Bytes| {
                        let last = batches(bytes).filter_map(Result::ok).last();
                        last.map(|batch| batch.header().next_offset())
                    };
                    let next = behind(&bytes).unwrap_or(end);
                    self.replay_bytes(slot, &bytes, next, out);
                }
            }
        }
    }

    fn loading(&self, slot: LogSlot) -> Option<(Offset, Offset)> {
        match self.groups.hosted.get(&slot)?.state {
            State::Loading { next, end } => Some((next, end)),
            State::Ready | State::Failed => None,
        }
    }

    fn replay_bytes(&mut self, slot: LogSlot, bytes: &Bytes, next: Offset, out: &mut ShardOutputs) {
        let mut scratch = Decompressor::default();
        let mut problem = None;
        let Some(hosted) = self.groups.hosted.get_mut(&slot) else {
            return;
        };
        let State::Loading { end, .. } = hosted.state else {
            return;
        };
        for batch in batches(bytes) {
            let replayed = batch
                .map_err(|error| error.to_string())
                .and_then(|batch| replay_batch(hosted, &batch, &mut scratch, out));
            problem = problem.or_else(|| replayed.err());
        }
        // Nothing at all before the end: whatever was there is compacted away.
        let next = if bytes.is_empty() { end } else { next };
        hosted.state = State::Loading { next, end };
        if let Some(problem) = problem {
            self.fail_load(slot, &problem, out);
        }
    }

    fn fail_load(&mut self, slot: LogSlot, problem: &str, out: &mut ShardOutputs) {
        let Some(index) = self.partition_of(slot).map(|it| it.partition.partition.0) else {
            return;
        };
        if let Some(hosted) = self.groups.hosted.get_mut(&slot) {
            hosted.state = State::Failed;
        }
        out.warnings.push(format!(
            "{OFFSETS_TOPIC}-{index} can not be read, so its groups are refused: {problem}"
        ));
    }
}

/// Replays one batch. Records that say nothing to this version are skipped with a line each; a batch
/// whose records can not be taken apart is an error.
fn replay_batch(
    hosted: &mut Hosted,
    batch: &BatchView<'_>,
    scratch: &mut Decompressor,
    out: &mut ShardOutputs,
) -> Result<(), String> {
    if batch.header().is_control() {
        return Ok(());
    }
    let found = records(batch, scratch, DecompressLimits::default());
    for record in found.map_err(|error| error.to_string())? {
        let record = record.map_err(|error| error.to_string())?;
        let Some(key) = record.key else { continue };
        let record = Record {
            key: Bytes::copy_from_slice(key),
            value: record.value.map(Bytes::copy_from_slice),
        };
        if let Err(error) = hosted.coordinator.replay(&record) {
            out.warnings
                .push(format!("{OFFSETS_TOPIC}: a record was skipped: {error}"));
        }
    }
    Ok(())
}
