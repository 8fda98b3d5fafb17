//! The pool against a temporary directory.

use std::path::Path;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use chronik_model::batch::{BatchBuilder, BatchSpec};
use chronik_model::{LogId, Offset};
use chronik_storage::disk::{
    DiskData, DiskDone, DiskErrorKind, DiskOp, DiskRequest, DiskToken, FileKey,
};
use chronik_storage::log::SegmentId;
use chronik_storage::select::{Boundary, Offsets, Selection, TimestampQuery};

use super::pool::DiskPool;

struct Fixture {
    directory: tempfile::TempDir,
    pool: DiskPool,
    done: Receiver<(usize, DiskDone)>,
    tokens: u64,
}

impl Fixture {
    fn new(threads: usize, open_files: usize) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (sender, done) = channel();
        let sender = Mutex::new(sender);
        let complete = Arc::new(move |shard, completions: Vec<DiskDone>| {
            assert!(!completions.is_empty());
            for done in completions {
                sender.lock().unwrap().send((shard, done)).unwrap();
            }
        });
        let path = directory.path().to_owned();
        let pool = DiskPool::with_open_files(threads, path, complete, open_files).unwrap();
        Self {
            directory,
            pool,
            done,
            tokens: 0,
        }
    }

    fn request(&mut self, op: DiskOp) -> DiskRequest {
        self.tokens += 1;
        DiskRequest {
            token: DiskToken(self.tokens),
            op,
        }
    }

    /// Carries out operations in the pool and returns their outcomes by token.
    fn run(&mut self, ops: Vec<DiskOp>) -> Vec<DiskDone> {
        let requests: Vec<_> = ops.into_iter().map(|op| self.request(op)).collect();
        let count = requests.len();
        self.pool.submit(3, requests);
        let mut done: Vec<_> = (0..count).map(|_| self.done.recv().unwrap()).collect();
        done.sort_by_key(|(_, done)| done.token);
        assert!(done.iter().all(|(shard, _)| *shard == 3));
        done.into_iter().map(|(_, done)| done).collect()
    }

    fn run_all(&mut self, ops: Vec<DiskOp>) {
        for done in self.run(ops) {
            done.result.unwrap();
        }
    }

    fn run_one(&mut self, op: DiskOp) -> Result<DiskData, DiskErrorKind> {
        let done = self.run(vec![op]).pop().unwrap();
        done.result.map_err(|error| error.kind)
    }

    fn content(&self, file: &FileKey) -> Vec<u8> {
        std::fs::read(self.directory.path().join(file.log_path())).unwrap()
    }
}

fn key(log: u64, base_offset: i64) -> FileKey {
    let directory = format!("logs/topic-{log}").into();
    FileKey {
        log_id: LogId(log),
        directory,
        segment: SegmentId::appended(Offset(base_offset)),
    }
}

fn write(file: &FileKey, position: u64, bytes: &[u8]) -> DiskOp {
    let (head, tail) = bytes.split_at(bytes.len() / 2);
    let buffers = vec![Bytes::copy_from_slice(head), Bytes::copy_from_slice(tail)];
    DiskOp::Write {
        file: file.clone(),
        position,
        buffers,
        urgent: false,
    }
}

fn sync(file: &FileKey) -> DiskOp {
    DiskOp::Sync { file: file.clone() }
}

fn read(file: &FileKey, end_position: u64) -> DiskOp {
    let (from, bound) = (Offset(0), Offset(100));
    let selection = Selection {
        from,
        bound,
        start: Boundary {
            position: 0,
            offset: Offset(0),
        },
        end_position,
        offsets: Offsets::Dense,
        max_bytes: 1 << 20,
    };
    DiskOp::Read {
        file: file.clone(),
        selection,
        may_pin: false,
    }
}

#[test]
fn a_segment_is_written_cut_and_removed() {
    let mut fixture = Fixture::new(2, 8);
    let file = key(7, 0);
    fixture.run_all(vec![
        write(&file, 0, b"abc"),
        write(&file, 3, b"defgh"),
        sync(&file),
    ]);
    assert_eq!(fixture.content(&file), b"abcdefgh");
    fixture.run_all(vec![
        DiskOp::Truncate {
            file: file.clone(),
            length: 2,
        },
        write(&file, 2, b"X"),
    ]);
    assert_eq!(fixture.content(&file), b"abX");
    let next = key(7, 55);
    fixture.run_all(vec![
        write(&next, 0, b"kept"),
        DiskOp::RemoveSegment { file: file.clone() },
    ]);
    assert_eq!(
        fixture.run_one(sync(&file)).unwrap_err(),
        DiskErrorKind::NotFound
    );
    assert_eq!(fixture.content(&next), b"kept");
    let remove = DiskOp::RemoveLog {
        log_id: next.log_id,
        directory: Arc::clone(&next.directory),
    };
    fixture.run_all(vec![remove.clone(), remove, DiskOp::RemoveSegment { file }]);
    assert_eq!(
        fixture.run_one(sync(&next)).unwrap_err(),
        DiskErrorKind::NotFound
    );
    fixture.run_all(vec![write(&next, 0, b"again"), sync(&next)]);
    assert_eq!(fixture.content(&next), b"again");
}

#[test]
fn a_side_file_is_replaced_as_a_whole_or_not_at_all() {
    let mut fixture = Fixture::new(1, 8);
    let replace = |path: &str, content: &'static [u8]| DiskOp::ReplaceFile {
        log_id: LogId(1),
        path: path.into(),
        bytes: Bytes::from_static(content),
    };
    let full_path = fixture.directory.path().join("t/side");
    for content in [&b"long enough"[..], b"short"] {
        fixture.run_all(vec![replace("t/side", content)]);
        assert_eq!(std::fs::read(&full_path).unwrap(), content);
    }
    // Nothing can be renamed over a directory.
    std::fs::create_dir(fixture.directory.path().join("t/taken")).unwrap();
    fixture.run_one(replace("t/taken", b"x")).unwrap_err();
    let left = std::fs::read_dir(fixture.directory.path().join("t"))
        .unwrap()
        .count();
    assert_eq!(left, 2, "the temporary file is left");
    let remove = DiskOp::RemoveFile {
        log_id: LogId(1),
        path: "t/side".into(),
    };
    fixture.run_all(vec![remove.clone(), remove]);
    assert!(!full_path.try_exists().unwrap());
}

#[test]
fn an_index_is_replaced_and_read_back() {
    let mut fixture = Fixture::new(1, 8);
    let file = key(1, 0);
    let read = || DiskOp::ReadIndex { file: key(1, 0) };
    assert_eq!(
        fixture.run_one(read()).unwrap_err(),
        DiskErrorKind::NotFound
    );
    for content in [&b"a long index"[..], b"short", b""] {
        let bytes = Bytes::copy_from_slice(content);
        fixture.run_all(vec![DiskOp::WriteIndex {
            file: file.clone(),
            bytes,
        }]);
        let DiskData::File(bytes) = fixture.run_one(read()).unwrap() else {
            panic!("not a file's content");
        };
        assert_eq!(bytes, content);
    }
}

#[test]
fn damaged_bytes_are_reported_with_their_place() {
    let mut fixture = Fixture::new(1, 8);
    let file = key(1, 0);
    fixture.run_all(vec![write(&file, 0, &[0xff; 200])]);
    let query = TimestampQuery {
        timestamp_ms: 0,
        from: Offset(0),
        bound: Offset(100),
        start: Boundary {
            position: 0,
            offset: Offset(0),
        },
        end_position: 200,
        offsets: Offsets::Dense,
    };
    let find = DiskOp::FindTimestamp {
        file: file.clone(),
        query,
    };
    for done in fixture.run(vec![read(&file, 200), find]) {
        let error = done.result.unwrap_err();
        assert_eq!(error.kind, DiskErrorKind::Corrupt);
        assert_eq!(error.path, file.log_path());
        assert!(error.detail.starts_with("byte 0: "), "{error}");
    }
    assert_eq!(
        fixture.run_one(read(&key(2, 0), 200)).unwrap_err(),
        DiskErrorKind::NotFound
    );
}

fn batch(base_offset: i64, timestamps: &[i64]) -> Vec<u8> {
    let spec = BatchSpec {
        base_offset: Offset(base_offset),
        ..BatchSpec::default()
    };
    let mut builder = BatchBuilder::new(spec);
    for timestamp in timestamps {
        builder
            .append(*timestamp, None, Some(b"value"), &[])
            .unwrap();
    }
    builder.finish().unwrap()
}

#[test]
fn batches_are_found_by_offset_and_by_timestamp() {
    let mut fixture = Fixture::new(1, 8);
    let file = key(1, 0);
    let (first, second) = (batch(0, &[10, 20]), batch(2, &[30, 40, 50]));
    let bytes = [first.as_slice(), &second].concat();
    let end_position = bytes.len() as u64;
    fixture.run_all(vec![write(&file, 0, &bytes)]);
    let DiskData::Batches(found) = fixture.run_one(read(&file, end_position)).unwrap() else {
        panic!("not batches");
    };
    assert_eq!(
        (found.bytes.as_ref(), found.next_offset),
        (bytes.as_slice(), Offset(5))
    );
    let (from, bound) = (Offset(0), Offset(5));
    let query = TimestampQuery {
        timestamp_ms: 35,
        from,
        bound,
        start: Boundary {
            position: 0,
            offset: Offset(0),
        },
        end_position,
        offsets: Offsets::Dense,
    };
    let find = DiskOp::FindTimestamp { file, query };
    let DiskData::Timestamp(Some(hit)) = fixture.run_one(find).unwrap() else {
        panic!("not found");
    };
    assert_eq!((hit.offset, hit.timestamp_ms), (Offset(3), 40));
}

#[test]
fn operations_of_one_log_keep_their_order() {
    let mut fixture = Fixture::new(3, 4);
    let mut ops = Vec::new();
    for round in 0..200_u8 {
        for log in 0..10 {
            ops.push(write(&key(log, 0), 0, &[round; 64]));
            ops.push(write(&key(log, 0), u64::from(round), &[0xee]));
        }
    }
    fixture.run_all(ops);
    for log in 0..10 {
        let content = fixture.content(&key(log, 0));
        assert_eq!(content[..64], [199; 64]);
        assert_eq!(content[64..], [0xee; 136]);
    }
}

#[test]
fn inline_writes_keep_the_order_of_their_log() {
    let mut fixture = Fixture::new(2, 4);
    let mut queued = 0;
    for round in 0..2000_u64 {
        let file = key(round % 5, 0);
        let byte = round.to_le_bytes()[0];
        let request = fixture.request(write(&file, 0, &[byte; 512]));
        match fixture.pool.execute_inline(0, request.clone()) {
            Some(done) => {
                assert_eq!(done.token, request.token);
                done.result.unwrap();
            }
            None => queued += 1,
        }
        if round % 3 == 0 {
            let later = fixture.request(write(&file, 0, &[byte.wrapping_add(1); 512]));
            let sync = fixture.request(sync(&file));
            fixture.pool.submit(0, vec![later, sync]);
            queued += 2;
        }
    }
    for _ in 0..queued {
        fixture.done.recv().unwrap().1.result.unwrap();
    }
    for log in 0..5 {
        let last = (0..2000_u64).rev().find(|round| round % 5 == log).unwrap();
        let byte = last.to_le_bytes()[0].wrapping_add(u8::from(last % 3 == 0));
        assert_eq!(fixture.content(&key(log, 0)), [byte; 512], "log {log}");
    }
}

#[test]
fn what_can_not_be_done_inline_is_queued() {
    let mut fixture = Fixture::new(1, 1);
    let first = fixture.request(write(&key(1, 0), 0, b"a"));
    assert!(fixture.pool.execute_inline(0, first).is_some());
    // Neither a write that has to close a dirty file, nor what is no write.
    for op in [write(&key(2, 0), 0, b"b"), sync(&key(1, 0))] {
        let request = fixture.request(op);
        assert!(fixture.pool.execute_inline(9, request.clone()).is_none());
        let (shard, done) = fixture.done.recv().unwrap();
        assert_eq!((shard, done.token), (9, request.token));
        done.result.unwrap();
    }
}

#[test]
fn more_dirty_files_than_stay_open() {
    let mut fixture = Fixture::new(2, 3);
    for position in 0..3 {
        fixture.run_all(
            (0..50)
                .map(|log| write(&key(log, 0), position, &[log.to_le_bytes()[0]]))
                .collect(),
        );
    }
    fixture.run_all((0..50).map(|log| sync(&key(log, 0))).collect());
    for log in 0..50 {
        assert_eq!(fixture.content(&key(log, 0)), [log.to_le_bytes()[0]; 3]);
    }
}

#[test]
fn dropping_the_pool_finishes_what_is_queued() {
    let mut fixture = Fixture::new(2, 8);
    let requests: Vec<_> = (0..100)
        .map(|log| fixture.request(write(&key(log, 0), 0, b"done")))
        .collect();
    fixture.pool.submit(0, requests);
    let Fixture {
        directory,
        pool,
        done,
        tokens: _,
    } = fixture;
    drop(pool);
    assert_eq!(
        done.try_iter()
            .filter(|(_, done)| done.result.is_ok())
            .count(),
        100
    );
    for log in 0..100 {
        let path = directory.path().join(key(log, 0).log_path());
        assert_eq!(std::fs::read(path).unwrap(), b"done");
    }
}

#[test]
fn a_sync_that_fails_fails_again() {
    let (sender, receiver) = channel();
    let sender = Mutex::new(sender);
    let complete = Arc::new(move |_, done: Vec<DiskDone>| {
        for done in done {
            sender.lock().unwrap().send(done.result.is_ok()).unwrap();
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let file = key(1, 0);
    // A device that takes writes and refuses syncs stands for the segment.
    let segment = directory.path().join(file.log_path());
    std::fs::create_dir_all(segment.parent().unwrap()).unwrap();
    std::os::unix::fs::symlink(Path::new("/dev/null"), segment).unwrap();
    let pool = DiskPool::start(1, directory.path().to_owned(), complete).unwrap();
    let ops = [
        write(&file, 0, b"lost"),
        sync(&file),
        write(&file, 0, b"more"),
        sync(&file),
    ];
    let request = |op| DiskRequest {
        token: DiskToken(1),
        op,
    };
    pool.submit(0, ops.into_iter().map(request).collect());
    drop(pool);
    assert_eq!(
        receiver.iter().collect::<Vec<_>>(),
        [true, false, true, false]
    );
}

#[test]
fn a_file_is_pinned_where_its_bytes_are_at_hand_and_stays_when_its_name_is_gone() {
    let mut fixture = Fixture::new(1, 8);
    let file = key(7, 0);
    let bytes = vec![3; 100_000];
    let request = |end_position, may_pin| {
        let DiskOp::Read {
            file, selection, ..
        } = read(&file, end_position)
        else {
            unreachable!()
        };
        DiskRequest {
            token: DiskToken(0),
            op: DiskOp::Read {
                file,
                selection,
                may_pin,
            },
        }
    };
    assert!(fixture.pool.pin(&request(100_000, true)).is_none());
    fixture.run_all(vec![write(&file, 0, &bytes)]);
    assert!(fixture.pool.pin(&request(100_000, false)).is_none());
    assert!(fixture.pool.pin(&request(100_001, true)).is_none());
    assert!(fixture.pool.pin(&request(100, true)).is_none());
    let inline = fixture.pool.pin(&request(100_000, true)).unwrap();
    let queued = fixture.run_one(request(100_000, true).op);
    fixture.run_all(vec![DiskOp::RemoveSegment { file: file.clone() }]);
    for data in [inline.result.unwrap(), queued.unwrap()] {
        let DiskData::Pinned(pinned) = data else {
            panic!("{data:?}")
        };
        let pinned = pinned.downcast_ref::<std::fs::File>().unwrap();
        let content = crate::disk::file_io::read_at(pinned, 0, usize::MAX).unwrap();
        assert!(content == bytes);
    }
}
