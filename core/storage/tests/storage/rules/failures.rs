//! A disk that is full or fails (rule J9).

use chronik_model::Offset;
use chronik_sim_disk::{Crash, Failure};
use chronik_storage::disk::DiskErrorKind;
use chronik_storage::store::{ReadOutcome, ReadRequest, StoreError};

use super::{DURABLE, Story};

#[test]
fn j9_without_space_data_waits_in_memory_and_is_written_later() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.shell.disk.faults().writes = Some(DiskErrorKind::Full);
    for _ in 0..4 {
        story.append(id, 3000);
    }
    story.commit();
    story.shell.work(100).unwrap();
    let slot = story.shell.slot_of(id).unwrap();
    assert_eq!(
        story.shell.store.check_writable(slot),
        Err(StoreError::Full)
    );
    let request = ReadRequest {
        from: Offset(0),
        bound: Offset(4),
        max_bytes: 1 << 20,
        at_least_one: true,
        as_range: false,
    };
    let outcome = story.shell.store.read(slot, &request, 1);
    assert!(matches!(outcome, ReadOutcome::Batches { pieces, .. } if pieces.len() == 4));
    story.shell.disk.faults().writes = None;
    story.shell.store.retry_writes();
    story.shell.work(100).unwrap();
    assert_eq!(story.of(id).written_end, Offset(4));
    assert_eq!(story.shell.store.check_writable(slot), Ok(()));
    assert_eq!(story.shell.store.unwritten_bytes(), 0);
}

#[test]
fn j9_a_log_is_tried_again_though_another_found_space_before() {
    let mut story = Story::new();
    let (one, other) = (story.log(DURABLE), story.log(DURABLE));
    story.append(one, 9000);
    story.append(other, 9000);
    story.commit();
    story.append(one, 9000);
    story.shell.disk.faults().writes = Some(DiskErrorKind::Full);
    story.shell.work(100).unwrap();
    story.shell.disk.faults().writes = None;
    story.commit();
    story.shell.work(100).unwrap();
    let written = |story: &Story| [one, other].map(|id| story.of(id).written_end.0);
    assert_eq!(written(&story), [2, 0]);
    story.shell.store.retry_writes();
    story.shell.work(100).unwrap();
    assert_eq!(written(&story), [2, 1]);
}

#[test]
fn j9_a_failed_sync_takes_the_directory_offline_and_is_never_tried_again() {
    let mut story = Story::new();
    let id = story.log(DURABLE);
    story.append(id, 9000);
    story.commit();
    story.shell.work(1).unwrap();
    story.shell.store.flush_all();
    let next = story.shell.disk.operations() + 1;
    story.shell.disk.faults().fail_at = Some((next, Failure::Nothing(DiskErrorKind::Failed)));
    story.shell.work(1).unwrap();
    let slot = story.shell.slot_of(id).unwrap();
    let refused = story.shell.store.check_writable(slot);
    assert!(
        matches!(refused, Err(StoreError::Offline(_))),
        "{refused:?}"
    );
    story.shell.store.flush_all();
    story.shell.store.retry_writes();
    assert!(story.shell.store.take_requests().is_empty());
    story.crash(Crash::Power);
}
