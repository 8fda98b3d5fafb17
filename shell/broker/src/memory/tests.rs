//! Who gets in, who waits, and who is told.

use std::sync::Mutex;

use bytes::Bytes;

use super::*;

const MIB: usize = 1 << 20;
/// 80 MiB of it are for data: 40 for requests, 30 for replies, at most 20 for the tail.
const LIMIT: u64 = 128 << 20;

fn id(index: u32) -> ConnectionId {
    ConnectionId {
        index,
        generation: 0,
    }
}

#[derive(Debug, Default)]
struct Told {
    granted: Mutex<Vec<(ConnectionId, Lease)>>,
    room: AtomicU64,
}

impl Doors for Arc<Told> {
    fn granted(&self, _event_loop: usize, id: ConnectionId, lease: Lease) {
        lock(&self.granted).push((id, lease));
    }

    fn room(&self) {
        self.room.fetch_add(1, Ordering::Relaxed);
    }
}

fn memory(limit: u64) -> (Arc<Memory>, Arc<Told>) {
    let memory = Memory::new(limit, 2);
    let told = Arc::new(Told::default());
    memory.set_doors(Box::new(Arc::clone(&told)));
    (memory, told)
}

fn granted(told: &Told) -> Vec<u32> {
    lock(&told.granted).iter().map(|(id, _)| id.index).collect()
}

#[test]
fn nobody_overtakes_in_the_line() {
    let (memory, told) = memory(LIMIT);
    let first = memory.reserve(0, id(1), 30 * MIB).unwrap();
    assert!(memory.reserve(0, id(2), 20 * MIB).is_none());
    // It would fit, but came later.
    assert!(memory.reserve(1, id(3), MIB).is_none());
    assert!(granted(&told).is_empty());
    assert!(memory.is_wanted());
    drop(first);
    assert_eq!(granted(&told), [2, 3]);
    assert!(!memory.is_wanted());
    assert_eq!(memory.held(Kind::LargeRequests), 21 << 20);
}

#[test]
fn a_request_larger_than_its_share_gets_in_alone() {
    let (memory, told) = memory(LIMIT);
    let small = memory.reserve(0, id(1), MIB).unwrap();
    assert!(memory.reserve(0, id(2), 100 * MIB).is_none());
    drop(small);
    assert_eq!(granted(&told), [2]);
    assert!(memory.reserve(0, id(3), MIB).is_none());
    let alone = lock(&told.granted).pop();
    drop(alone);
    assert_eq!(granted(&told), [3]);
}

#[test]
fn a_request_that_needs_everything_waits_until_the_last_one_is_written() {
    let (memory, told) = memory(LIMIT);
    let unwritten = |mib: u64| ShardBytes {
        unwritten: mib << 20,
        ..ShardBytes::default()
    };
    memory.note_shard(0, unwritten(90));
    assert!(memory.reserve(0, id(1), 100 * MIB).is_none());
    memory.note_shard(0, unwritten(31));
    memory.settle();
    assert!(granted(&told).is_empty());
    memory.note_shard(0, unwritten(30));
    memory.settle();
    assert_eq!(granted(&told), [1]);
}

#[test]
fn a_grant_that_nobody_takes_goes_to_the_next() {
    #[derive(Debug)]
    struct Gone(Mutex<Vec<u32>>);
    impl Doors for Arc<Gone> {
        fn granted(&self, _event_loop: usize, id: ConnectionId, lease: Lease) {
            lock(&self.0).push(id.index);
            drop(lease);
        }
        fn room(&self) {}
    }
    let memory = Memory::new(LIMIT, 1);
    let gone = Arc::new(Gone(Mutex::default()));
    memory.set_doors(Box::new(Arc::clone(&gone)));
    let first = memory.reserve(0, id(1), 60 * MIB).unwrap();
    for index in 2..5 {
        assert!(memory.reserve(0, id(index), 60 * MIB).is_none());
    }
    drop(first);
    assert_eq!(*lock(&gone.0), [2, 3, 4]);
    assert_eq!(memory.used(), 0);
}

#[test]
fn what_is_unwritten_keeps_requests_out_until_it_is_written() {
    let (memory, told) = memory(LIMIT);
    let unwritten = |mib: u64| ShardBytes {
        unwritten: mib << 20,
        ..ShardBytes::default()
    };
    memory.note_shard(1, unwritten(40));
    assert!(memory.is_short());
    memory.starve();
    memory.settle();
    assert_eq!(told.room.load(Ordering::Relaxed), 0);
    memory.note_shard(1, unwritten(39));
    memory.settle();
    memory.settle();
    assert_eq!(told.room.load(Ordering::Relaxed), 1, "told once");
}

#[test]
fn replies_get_shorter_the_more_are_held() {
    let (memory, told) = memory(LIMIT);
    let check = |held_mib: usize, expected: Option<u64>| {
        let _held = memory.take(Kind::ColdReads, held_mib * MIB);
        assert_eq!(memory.reply_room(), expected, "{held_mib} MiB held");
    };
    check(0, Some(MAX_REPLY_BYTES));
    check(18, Some(2 << 20));
    check(29, Some(256 << 10));
    check(30, None);
    check(100, None);
    let held = memory.take(Kind::Replies, 30 * MIB);
    memory.hold_back();
    assert!(memory.is_wanted() && !memory.is_short());
    drop(held);
    assert_eq!(told.room.load(Ordering::Relaxed), 1);
}

#[test]
fn a_batch_that_the_tail_let_go_is_held_by_its_last_reader() {
    let (memory, _told) = memory(LIMIT);
    let batch = memory
        .take(Kind::Batches, 8)
        .keep(Bytes::from_static(b"12345678"));
    let in_tail = ShardBytes {
        resident: 8,
        ..ShardBytes::default()
    };
    memory.note_shard(0, in_tail);
    let reply = batch.slice(2..4);
    assert_eq!((memory.used(), memory.replying()), (8, 0));
    drop(batch);
    memory.note_shard(0, ShardBytes::default());
    assert_eq!((memory.used(), memory.replying()), (8, 8));
    drop(reply);
    assert_eq!(memory.used(), 0);
}

#[test]
fn the_tail_yields_to_everything_else() {
    let (memory, _told) = memory(LIMIT);
    let check = |kind: Kind, mib: usize, expected_mib: usize| {
        let _held = memory.take(kind, mib * MIB);
        let shards = 2;
        assert_eq!(memory.tail_bytes() * shards / MIB, expected_mib, "{kind:?}");
    };
    check(Kind::Requests, 0, 20);
    check(Kind::Requests, 50, 20);
    check(Kind::LargeRequests, 60, 10);
    check(Kind::ColdReads, 69, 1);
    check(Kind::Journal, 100, 0);
}

#[test]
fn a_small_budget_is_not_all_for_the_process() {
    let (memory, _told) = memory(1000);
    assert_eq!(memory.data, 250);
    assert!(memory.reserve(0, id(1), MIB).is_some(), "alone");
}
