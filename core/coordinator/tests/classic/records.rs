//! The records of `__consumer_offsets`, byte by byte.

use bytes::Bytes;
use chronik_coordinator::{CommitOffsets, GroupConfig, GroupCoordinator, Record};
use chronik_model::TopicId;

use crate::bench::{Bench, START_MS, at, commit, join, no_member, static_join};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Bytes {
    let digits: Vec<char> = text.chars().filter(|c| !c.is_whitespace()).collect();
    let byte = |pair: &[char]| {
        let text: String = pair.iter().collect();
        u8::from_str_radix(&text, 16).expect("hexadecimal digits")
    };
    digits.chunks(2).map(byte).collect()
}

fn record(key: &str, value: &str) -> Record {
    Record {
        key: unhex(key),
        value: (!value.is_empty()).then(|| unhex(value)),
    }
}

/// Key of group "g", topic "t", partition 3.
const OFFSET_KEY: &str = "0001 0001 67 0001 74 00000003";
/// Key of group "g".
const GROUP_KEY: &str = "0002 0001 67";

#[test]
fn offsets_are_written_as_kafka_writes_them() {
    let check = |change: fn(&mut CommitOffsets), value: &str| {
        let mut bench = Bench::new(GroupConfig::default());
        let mut request = commit("g", no_member(), &[("t", 3, 258)]);
        change(&mut request);
        bench.commit(request);
        let written = &bench.log[0][0];
        assert_eq!(hex(&written.key), hex(&unhex(OFFSET_KEY)));
        let now = format!("{START_MS:016x}");
        let expire = format!("{:016x}", START_MS + 60_000);
        let expected = value.replace("NOW", &now).replace("EXPIRE", &expire);
        assert_eq!(
            written.value.as_deref().map(hex),
            Some(hex(&unhex(&expected)))
        );
    };
    check(|_| {}, "0004 0000000000000102 00000007 05 6e6f7465 NOW 00");
    check(
        |request| request.partitions[0].topic_id = TopicId([0xAB; 16]),
        "0004 0000000000000102 00000007 05 6e6f7465 NOW 01 00 10 abababababababababababababababab",
    );
    check(
        |request| request.retention_ms = Some(60_000),
        "0001 0000000000000102 0004 6e6f7465 NOW EXPIRE",
    );
}

#[test]
fn groups_are_written_as_kafka_writes_them() {
    let mut bench = Bench::new(GroupConfig::default());
    let ids = bench.stable("g", vec![static_join("g", "i")]);
    let made = &bench.log[0][0];
    assert_eq!(hex(&made.key), hex(&unhex(GROUP_KEY)));
    let now = format!("{START_MS:016x}");
    let empty = format!("0003 0000 00000000 ffff ffff {now} 00000000");
    assert_eq!(made.value.as_deref().map(hex), Some(hex(&unhex(&empty))));

    let id = hex(ids[0].as_bytes());
    let then = format!("{:016x}", bench.now.wall_ms);
    let expected = format!(
        "0003 0008 636f6e73756d6572 00000001 0005 72616e6765 0026 {id} {then} 00000001
         0026 {id} 0001 69 0006 636c69656e74 000a 2f3132372e302e302e31 0000ea60 00002710
         0000000d 0000 00000001 0001 74 ffffffff 00000026 {id}"
    );
    let stable = bench
        .log
        .last()
        .and_then(|batch| batch.last())
        .expect("a record");
    assert_eq!(
        stable.value.as_deref().map(hex),
        Some(hex(&unhex(&expected)))
    );

    bench.leave("g", &[(&ids[0], None)]);
    let left = bench
        .log
        .last()
        .and_then(|batch| batch.last())
        .expect("a record");
    let expected = format!("0003 0008 636f6e73756d6572 00000002 ffff ffff {then} 00000000");
    assert_eq!(left.value.as_deref().map(hex), Some(hex(&unhex(&expected))));
    bench.delete("g");
    let gone = bench
        .log
        .last()
        .and_then(|batch| batch.last())
        .expect("a record");
    assert_eq!(
        (hex(&gone.key), gone.value.as_ref()),
        (hex(&unhex(GROUP_KEY)), None)
    );
}

#[test]
fn offsets_of_all_versions_are_read() {
    let check = |value: &str, expected: &[(i64, i32, &str)]| {
        for key in [OFFSET_KEY, "0000 0001 67 0001 74 00000003"] {
            let log = vec![vec![record(key, value)]];
            let mut bench = Bench::with_log(GroupConfig::default(), log, at(0));
            let (_, topics) = bench.fetch(crate::bench::fetch("g", None));
            let read: Vec<(i64, i32, &str)> = (topics.iter().flat_map(|topic| &topic.partitions))
                .map(|one| (one.offset.0, one.leader_epoch, one.metadata.as_str()))
                .collect();
            assert_eq!(read, expected, "{value}");
        }
    };
    let now = format!("{START_MS:016x}");
    check(
        &format!("0000 0000000000000005 0001 6d {now}"),
        &[(5, -1, "m")],
    );
    check(
        &format!("0001 0000000000000005 0001 6d {now} ffffffffffffffff"),
        &[(5, -1, "m")],
    );
    check(
        &format!("0002 0000000000000005 0001 6d {now}"),
        &[(5, -1, "m")],
    );
    check(
        &format!("0003 0000000000000005 00000009 0001 6d {now}"),
        &[(5, 9, "m")],
    );
    check(
        &format!("0004 0000000000000005 00000009 02 6d {now} 00"),
        &[(5, 9, "m")],
    );
    let tags = "02 00 10 abababababababababababababababab 07 01 ff";
    check(
        &format!("0004 0000000000000005 00000009 02 6d {now} {tags}"),
        &[(5, 9, "m")],
    );
    check("", &[]);
}

#[test]
fn groups_of_all_versions_are_read() {
    let member = |version: u8| {
        let instance = if version >= 3 { "0001 69" } else { "" };
        let rebalance = if version >= 1 { "0000ea60" } else { "" };
        format!("0001 6d {instance} 0001 63 0001 68 {rebalance} 00002710 00000001 53 00000001 41")
    };
    let flexible = "02 6d 02 69 02 63 02 68 0000ea60 00002710 02 53 02 41 00";
    let now = format!("{START_MS:016x}");
    let head = "0008 636f6e73756d6572 00000007 0001 70 0001 6d";
    let check = |value: String, instance: Option<&str>| {
        let log = vec![vec![record(GROUP_KEY, &value)]];
        let mut bench = Bench::with_log(GroupConfig::default(), log, at(0));
        let described = bench.describe("g");
        assert_eq!(
            (described.state, described.protocol.as_str()),
            ("Stable", "p"),
            "{value}"
        );
        let member = &described.members[0];
        assert_eq!(
            (member.client_id.as_str(), member.client_host.as_str()),
            ("c", "h")
        );
        assert_eq!(
            (&member.metadata[..], &member.assignment[..]),
            (&b"S"[..], &b"A"[..])
        );
        assert_eq!(member.group_instance_id.as_deref(), instance);
        assert_eq!(bench.heartbeat("g", "m", 7), chronik_model::ErrorCode::None);
    };
    check(format!("0000 {head} 00000001 {}", member(0)), None);
    check(format!("0001 {head} 00000001 {}", member(1)), None);
    check(format!("0002 {head} {now} 00000001 {}", member(2)), None);
    check(
        format!("0003 {head} {now} 00000001 {}", member(3)),
        Some("i"),
    );
    let head = "09 636f6e73756d6572 00000007 02 70 02 6d";
    check(format!("0004 {head} {now} 02 {flexible} 00"), Some("i"));
}

#[test]
fn records_that_can_not_be_read_say_why_and_change_nothing() {
    let check = |key: &str, value: &str, why: &str| {
        let mut coordinator = GroupCoordinator::new(GroupConfig::default(), 1);
        let refused = coordinator
            .replay(&record(key, value))
            .expect_err("not a record");
        assert!(refused.contains(why), "{refused}");
    };
    check("", "", "key");
    check("7fff 0001 67", "0000", "key version 32767");
    check("ffff 0001 67", "", "key version -1");
    check("0001 0001 67", "", "key can not be read");
    check("0001 ffff 0001 74 00000000", "", "null");
    check("0002 0001 ff", "", "UTF-8");
    check(GROUP_KEY, "0005 0000", "value version 5");
    check(OFFSET_KEY, "0005 0000", "value version 5");
    check(OFFSET_KEY, "0003 00", "value under key version 1");
    // More members than the bytes there are could hold.
    check(
        GROUP_KEY,
        "0003 0000 00000000 ffff ffff 0000000000000000 7fffffff",
        "length",
    );
    check(
        GROUP_KEY,
        "0004 01 00000000 00 00 0000000000000000 ffffffff0f",
        "length",
    );
    check(
        OFFSET_KEY,
        "0004 0000000000000005 00000009 ffffffffff",
        "length",
    );
}

#[test]
fn no_bytes_make_replay_panic() {
    let mut bench = Bench::new(GroupConfig::default());
    let ids = bench.stable("g", vec![static_join("g", "i"), join("g")]);
    bench.commit(commit(
        "g",
        crate::bench::member(1, &ids[0]),
        &[("t", 3, 258)],
    ));
    let mut rng = chronik_model::rng::Rng::new(5);
    let records: Vec<Record> = bench.log.iter().flatten().cloned().collect();
    let mut coordinator = GroupCoordinator::new(GroupConfig::default(), 1);
    for _ in 0..20_000 {
        let pick = |rng: &mut chronik_model::rng::Rng, below: usize| {
            usize::try_from(rng.below(u64::try_from(below).expect("small"))).expect("small")
        };
        let mut damaged = records[pick(&mut rng, records.len())].clone();
        let mut value = damaged.value.take().unwrap_or_default().to_vec();
        for _ in 0..=pick(&mut rng, 3) {
            let position = pick(&mut rng, value.len().max(1));
            if let Some(byte) = value.get_mut(position) {
                *byte = rng.next_u64().to_be_bytes()[0];
            }
        }
        value.truncate(pick(&mut rng, value.len() * 4 + 1).max(2));
        damaged.value = Some(value.into());
        // Damage that makes another record of it is fine.
        drop(coordinator.replay(&damaged));
    }
}
