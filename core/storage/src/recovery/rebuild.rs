//! A checkpoint from nothing but the segment files, for when both generations are lost.

use chronik_model::ids::base_url_decode_16;
use chronik_model::{LogId, Offset, PartitionIndex, TopicId, TopicPartition};

use super::scan::{Scan, segment_files};
use super::{DirectoryShape, RecoveryReport, first_checkpoint};
use crate::checkpoint::{Checkpoint, LogCheckpoint};
use crate::disk::{Disk, DiskError};
use crate::journal::replay::{Replay, ReplayError};
use crate::log::PartitionLog;
use crate::store::{METADATA_DIRECTORY, METADATA_PARTITION, TOPICS_DIRECTORY};

/// Scans every segment of the directory; a directory without any is new.
pub(super) fn checkpoint(
    disk: &mut dyn Disk,
    shape: &DirectoryShape,
    replay: &Replay,
    report: &mut RecoveryReport,
) -> Result<Checkpoint, ReplayError> {
    let mut checkpoint = first_checkpoint(shape.directory_id);
    if let Some(start) = replay.find_start(disk)? {
        checkpoint.start = start;
        report.rebuilt = true;
    }
    // Also with nothing there but snapshots: the journal may have all that is left of the log.
    if !disk.list(METADATA_DIRECTORY)?.is_empty() {
        let log = scan(
            disk,
            LogId::METADATA,
            METADATA_PARTITION,
            METADATA_DIRECTORY,
            report,
        )?;
        checkpoint.logs.push(log);
    }
    for entry in disk.list(TOPICS_DIRECTORY)? {
        let directory = format!("{TOPICS_DIRECTORY}/{}", entry.name);
        match parse_directory(&entry.name) {
            Some((log_id, partition)) => {
                checkpoint.next_log_id = checkpoint.next_log_id.max(log_id.0 + 1);
                checkpoint
                    .logs
                    .push(scan(disk, log_id, partition, &directory, report)?);
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

fn scan(
    disk: &mut dyn Disk,
    log_id: LogId,
    partition: TopicPartition,
    directory: &str,
    report: &mut RecoveryReport,
) -> Result<LogCheckpoint, DiskError> {
    let mut log = PartitionLog::new(
        log_id,
        partition,
        directory.into(),
        super::replayer::config(),
    );
    let files = segment_files(disk, directory)?;
    if let Some((base, _)) = files.first() {
        (log.log_start, log.log_end) = (*base, *base);
        log.segments.clear();
        log.segments.push_back(crate::log::Segment::new(*base));
    }
    let scan = Scan {
        files: &files,
        limit: Offset(i64::MAX),
        gapless: false,
    };
    scan.extend(disk, &mut log)?;
    for (base, _) in &files {
        if log.segment_mut(*base).is_some() {
            disk.sync(&log.file(*base).log_path())?;
        }
    }
    if !files.is_empty() {
        disk.sync_directory(directory)?;
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
