//! A checkpoint from nothing but the segment files, for when both generations are lost.

use std::sync::Arc;

use chronik_model::ids::base_url_decode_16;
use chronik_model::{LogId, Offset, PartitionIndex, TopicId, TopicPartition};

use super::plan::{LogPlan, Plans};
use super::recovering::rewrite;
use super::scan::{Scan, segment_files};
use super::{DirectoryShape, RecoveryReport, first_checkpoint};
use crate::checkpoint::{Checkpoint, LogCheckpoint};
use crate::disk::{Disk, DiskError};
use crate::journal::replay::{Replay, ReplayError};
use crate::log::{PartitionLog, Segment, SegmentId};
use crate::store::{METADATA_DIRECTORY, METADATA_PARTITION, TOPICS_DIRECTORY};

/// Scans every segment of the directory; a directory without any is new.
pub(super) fn checkpoint(
    disk: &mut dyn Disk,
    shape: &DirectoryShape,
    replay: &Replay,
    report: &mut RecoveryReport,
) -> Result<Checkpoint, ReplayError> {
    let mut checkpoint = first_checkpoint(shape.directory_id);
    let mut plans = Plans::default();
    if let Some(start) = replay.find_start(disk)? {
        checkpoint.start = start;
        report.rebuilt = true;
        replay.run(disk, start, &mut |_disk, log_id, operation| {
            plans.note(log_id, &operation);
            Ok(())
        })?;
    }
    // Also with nothing there but snapshots: the journal may have all that is left of the log.
    if !disk.list(METADATA_DIRECTORY)?.is_empty() {
        let log = empty_log(LogId::METADATA, METADATA_PARTITION, METADATA_DIRECTORY);
        let plan = plans.of(log.log_id);
        checkpoint.logs.push(scan(disk, log, &plan, report)?);
    }
    for entry in disk.list(TOPICS_DIRECTORY)? {
        let directory = format!("{TOPICS_DIRECTORY}/{}", entry.name);
        match parse_directory(&entry.name) {
            Some((log_id, partition)) => {
                checkpoint.next_log_id = checkpoint.next_log_id.max(log_id.0 + 1);
                let log = empty_log(log_id, partition, &directory);
                let plan = plans.of(log_id);
                checkpoint.logs.push(scan(disk, log, &plan, report)?);
            }
            None => report
                .warnings
                .push(format!("{directory}: not a log directory, set aside")),
        }
    }
    report.rebuilt |= !checkpoint.logs.is_empty();
    if report.rebuilt {
        report.warnings.push(
            "no current checkpoint: every segment was scanned; Raft's vote is the last one in the journal".to_owned(),
        );
    }
    Ok(checkpoint)
}

fn empty_log(log_id: LogId, partition: TopicPartition, directory: &str) -> PartitionLog {
    let config = super::replayer::config();
    PartitionLog::new(log_id, partition, directory.into(), config)
}

/// Of the files of a log, those that were its segments.
///
/// Where compaction has put a file in place of others, the journal says so until the others are
/// gone. Of several files with one base offset that it says nothing of, all but the oldest were
/// never put in place.
fn in_place(mut files: Vec<(SegmentId, u64)>, plan: &LogPlan) -> Vec<(SegmentId, u64)> {
    for replacement in &plan.replacements {
        let id = replacement.segment.id;
        if !files.iter().any(|(known, _)| *known == id) {
            continue;
        }
        // What was appended after a truncation stands in files of its own.
        let cut = plan.lowest_cut(replacement.generation);
        let end = cut.map_or(replacement.end, |cut| cut.min(replacement.end));
        let replaced =
            |known: &SegmentId| known.base_offset >= id.base_offset && known.base_offset < end;
        files.retain(|(known, _)| *known == id || !replaced(known));
    }
    files.dedup_by_key(|(id, _)| id.base_offset);
    files
}

fn scan(
    disk: &mut dyn Disk,
    mut log: PartitionLog,
    plan: &LogPlan,
    report: &mut RecoveryReport,
) -> Result<LogCheckpoint, DiskError> {
    let directory = Arc::clone(&log.directory);
    let files = in_place(segment_files(disk, &directory)?, plan);
    if let Some((id, _)) = files.first() {
        (log.log_start, log.log_end) = (id.base_offset, id.base_offset);
        let mut first = Segment::new(id.base_offset);
        first.generation = id.generation;
        log.segments = [first].into();
    }
    let scan = Scan {
        files: &files,
        limit: Offset(i64::MAX),
        gapless: false,
    };
    scan.extend(disk, &mut log)?;
    for (id, _) in &files {
        if let Some(segment) = log.segment(*id) {
            let path = log.file_of(*id).log_path();
            // Nothing tells how much of it was ever synced.
            rewrite(disk, &path, 0..segment.bytes)?;
            disk.sync(&path)?;
        }
    }
    if !files.is_empty() {
        disk.sync_directory(&directory)?;
    }
    let found: u64 = files.iter().map(|(_, bytes)| *bytes).sum();
    let kept: u64 = log.segments.iter().map(|segment| segment.bytes).sum();
    if kept < found {
        let (lost, end) = (found - kept, log.log_end);
        report.warnings.push(format!(
            "{directory}: intact up to offset {end}; {lost} bytes behind it are dropped unless the journal has them"
        ));
    }
    for segment in &mut log.segments {
        segment.synced_bytes = segment.bytes;
    }
    log.note_synced(log.log_end.max(Offset::ZERO));
    Ok(LogCheckpoint::of(&log))
}

/// Reads `NAME-PARTITION.LOGID.TOPICID` back; the name itself is for people.
fn parse_directory(name: &str) -> Option<(LogId, TopicPartition)> {
    let (rest, topic_id) = name.rsplit_once('.')?;
    let (rest, log_id) = rest.rsplit_once('.')?;
    let (_, partition) = rest.rsplit_once('-')?;
    let topic_id = TopicId(base_url_decode_16(topic_id)?);
    let partition = PartitionIndex(partition.parse().ok()?);
    Some((
        LogId(log_id.parse().ok()?),
        TopicPartition {
            topic_id,
            partition,
        },
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::directory_name;

    #[test]
    fn directory_names_tell_whose_log_they_hold() {
        let partition = TopicPartition {
            topic_id: TopicId([0xFB; 16]),
            partition: PartitionIndex(12),
        };
        for topic in ["a", "with-dash.and.dots", &"x".repeat(249)] {
            let name = directory_name(topic, LogId(77), partition);
            let name = name.strip_prefix("topics/").unwrap();
            assert!(name.len() <= 255);
            assert_eq!(parse_directory(name), Some((LogId(77), partition)));
        }
    }
}
