//! Checkpoints, markers and what they remember (rules J7, J11, J14, J15).

use chronik_model::ids::base64_url;
use chronik_model::{Mono, Now, Offset};
use chronik_sim_disk::{Crash, SimDisk};
use chronik_storage::checkpoint::CHECKPOINT_PATHS;
use chronik_storage::disk::Disk;
use chronik_storage::journal::replay::ReplayError;
use chronik_storage::log::LogConfig;
use chronik_storage::recovery::{CLEAN_SHUTDOWN_PATH, DirectoryShape, recover};

use super::{DURABLE, Story, filled, start};
use crate::model::batch;
use crate::shell::{DIRECTORY_ID, SHAPE};

#[test]
fn j7_a_directory_without_checkpoints_is_rebuilt_from_its_segments() {
    let mut story = filled();
    for lost in [
        &CHECKPOINT_PATHS[..1],
        &CHECKPOINT_PATHS[1..],
        &CHECKPOINT_PATHS,
    ] {
        let mut disk = story.shell.disk.clone();
        for path in lost {
            disk.remove(path).unwrap();
            disk.sync_directory("").unwrap();
        }
        story.check_damaged(disk, &format!("without {lost:?}"));
    }
    story.crash(Crash::Power);
}

#[test]
fn j7_a_checkpoint_of_an_earlier_life_is_not_taken_for_the_newest() {
    let mut story = filled();
    story.crash(Crash::Power);
    let id = *story.model.logs.keys().next().unwrap();
    story.append(id, 500);
    story.commit();
    let mut disk = story.shell.disk.clone();
    disk.remove(story.shell.checkpoint.path()).unwrap();
    disk.sync_directory("").unwrap();
    story.check_damaged(disk, "without the newest checkpoint");
}

#[test]
fn j7_a_checkpoint_of_logs_that_can_not_be_leaves_the_older_one() {
    let story = filled();
    let mut checkpoint = story.shell.checkpoint.clone();
    checkpoint.generation += 1;
    for log in &mut checkpoint.logs {
        log.log_start = Offset(i64::MAX);
    }
    let mut disk = story.shell.disk.clone();
    disk.plant(checkpoint.path(), &checkpoint.encode());
    story.check_damaged(disk, "with an impossible checkpoint");
}

#[test]
fn j7_a_log_that_is_lost_ends_behind_its_start() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.append(id, 9000);
    story.commit();
    story.shell.store.flush_all();
    story.drain();
    for _ in 0..3 {
        story.append(id, 100);
    }
    story.commit();
    story.model.delete_records(&mut story.shell, id, 3);
    story.commit();
    let mut checkpoint = story.shell.checkpoint.clone();
    checkpoint.generation += 1;
    checkpoint.logs = story.shell.store.checkpoints();
    let log = &mut checkpoint.logs[0];
    assert!(log.log_start > log.recovery_point.offset, "{log:?}");
    log.failed = Some("lost".to_owned());
    let mut disk = story.shell.disk.clone();
    disk.plant(checkpoint.path(), &checkpoint.encode());
    story.shell = start(disk).unwrap();
    let log = story.of(id);
    assert_eq!((log.log_start, log.log_end), (Offset(3), Offset(3)));
}

#[test]
fn j7_an_emptied_log_goes_on_where_it_ended_without_checkpoints() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for _ in 0..3 {
        story.append(id, 1000);
    }
    story.commit();
    story.crash(Crash::Power);
    let slot = story.shell.slot_of(id).unwrap();
    let config = LogConfig {
        retention_ms: Some(1),
        ..story.of(id).config.clone()
    };
    story.shell.store.configure(slot, config);
    let now = Now {
        mono: Mono(0),
        wall_ms: i64::MAX,
    };
    story.shell.store.retain(slot, now);
    story.drain();
    assert_eq!(story.of(id).log_start, Offset(3));
    // The journal comes to have nothing of the log.
    let other = story.log(DURABLE);
    for _ in 0..=SHAPE.journal_files {
        story.append(other, 100);
        story.commit();
        story.crash(Crash::Power);
    }
    let mut disk = story.shell.disk.clone();
    for path in CHECKPOINT_PATHS {
        disk.remove(path).unwrap();
    }
    disk.sync_directory("").unwrap();
    story.shell = start(disk).unwrap();
    let log = story.of(id);
    assert_eq!((log.log_start, log.log_end), (Offset(3), Offset(3)));
}

#[test]
fn j11_a_retry_is_known_after_a_crash_that_lost_newer_batches() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    for sequence in 0..3 {
        let bytes = batch(&mut story.rng, 1, 100, Some((5, sequence)));
        story.model.append(&mut story.shell, id, &bytes).unwrap();
        story.commit();
    }
    // A checkpoint may know batches that never become durable.
    for sequence in 3..12 {
        let bytes = batch(&mut story.rng, 1, 100, Some((5, sequence)));
        story.model.append(&mut story.shell, id, &bytes).unwrap();
    }
    let mut checkpoint = story.shell.checkpoint.clone();
    checkpoint.generation += 1;
    checkpoint.logs = story.shell.store.checkpoints();
    let path = checkpoint.path();
    story.shell.disk.plant(path, &checkpoint.encode());
    story.crash(Crash::Power);
    assert_eq!(story.of(id).log_end, Offset(3));
}

#[test]
fn j14_the_marker_of_a_clean_stop_is_good_for_one_start() {
    let mut story = filled();
    story.shell.stop().unwrap();
    story.model.note(&mut story.shell);
    let stopped = story.shell.disk.clone();
    let marker = stopped.content(CLEAN_SHUTDOWN_PATH).unwrap().to_vec();
    let clean_starts = |disk: SimDisk| start(disk).unwrap().counts.0["clean starts"];
    assert_eq!(clean_starts(stopped.clone()), 1);
    let started = start(stopped.clone()).unwrap().disk;
    assert!(started.content(CLEAN_SHUTDOWN_PATH).is_none());
    assert_eq!(clean_starts(started), 0);
    for byte in 0..marker.len() {
        let mut damaged = marker.clone();
        damaged[byte] ^= 0x10;
        let mut disk = stopped.clone();
        disk.plant(CLEAN_SHUTDOWN_PATH, &damaged);
        assert_eq!(clean_starts(disk.clone()), 0, "byte {byte}");
        story.check_damaged(disk, &format!("marker byte {byte}"));
    }
}

#[test]
fn j15_a_checkpoint_with_any_byte_changed_costs_time_but_no_data() {
    let story = filled();
    for path in CHECKPOINT_PATHS {
        let good = story.shell.disk.content(path).unwrap().to_vec();
        for byte in 0..good.len() {
            let mut damaged = good.clone();
            damaged[byte] ^= 1 << (byte % 8);
            let mut disk = story.shell.disk.clone();
            disk.plant(path, &damaged);
            story.check_damaged(disk, &format!("{path} byte {byte}"));
        }
    }
}

#[test]
fn j15_a_checkpoint_of_another_directory_is_refused() {
    let mut story = filled();
    story.commit();
    let shape = DirectoryShape {
        directory_id: [9; 16],
        ..SHAPE
    };
    let refused = recover(&mut story.shell.disk, &shape).unwrap_err();
    let ReplayError::OtherDirectory { path, found, .. } = &refused else {
        panic!("{refused}");
    };
    assert!(path.starts_with("checkpoint."), "{refused}");
    assert_eq!(*found, base64_url(&DIRECTORY_ID));
    assert!(refused.to_string().contains("meta.properties"));
}
