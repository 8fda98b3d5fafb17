//! Groups over the whole node: their coordinators lie on several shards, are loaded from disk, and
//! answer everybody once whatever happens below them.

mod asking;

use std::collections::BTreeMap;

use chronik_model::{ErrorCode, TopicId};
use chronik_node::ShardInput;
use chronik_protocol::messages::{
    JoinGroupResponse, OffsetCommitResponse, OffsetFetchResponse, ProduceResponse,
};

use crate::harness::client::{Call, Topic, produce_errors};
use crate::harness::node::{From, Options};
use crate::harness::{Sim, seeds};
use crate::produce::plain;
use asking::{
    Member, NONE, commit_error, consumer_heartbeat, fetch, fetched, find, listed, send_commit,
    send_fetch, settle_group,
};

const OFFSETS_TOPIC: &str = "__consumer_offsets";
const LOADING: i16 = ErrorCode::CoordinatorLoadInProgress.code();
const UNAVAILABLE: i16 = ErrorCode::CoordinatorNotAvailable.code();
const NOT_COORDINATOR: i16 = ErrorCode::NotCoordinator.code();
/// Their hashes are consecutive, so with six partitions and three shards all shards have some.
const GROUPS: [&str; 6] = ["g0", "g1", "g2", "g3", "g4", "g5"];

fn options() -> Options {
    Options {
        broker: &[
            ("offsets.topic.num.partitions", "6"),
            ("offsets.topic.segment.bytes", "2048"),
        ],
        ..Options::default()
    }
}

#[test]
fn clients_do_not_write_what_coordinators_read() {
    let mut sim = Sim::with(1, options());
    let admin = sim.connect(0);
    find(&mut sim, admin);
    let topic = Topic {
        name: OFFSETS_TOPIC,
        id: TopicId::ZERO,
    };
    let part = (0, plain(&mut sim));
    let call = sim.produce(admin, topic, 1, &[part]).unwrap();
    let response: ProduceResponse = sim.wait(call);
    let refused = ErrorCode::InvalidTopicException.code();
    assert_eq!(produce_errors(&response), [refused]);
}

#[test]
fn members_join_through_all_frontends_on_all_shards() {
    for seed in seeds(10) {
        let mut sim = Sim::with(seed, options());
        let admin = sim.connect(0);
        find(&mut sim, admin);
        for pair in GROUPS.chunks(2) {
            let mut members: Vec<Member> = (0..4u16)
                .map(|index| Member::new(&mut sim, index % 2, pair[usize::from(index / 2)]))
                .collect();
            let (one, other) = members.split_at_mut(2);
            settle_group(&mut sim, one);
            settle_group(&mut sim, other);
            for pair in members.chunks(2) {
                assert_eq!(pair[0].generation, pair[1].generation, "seed {seed}");
            }
            for member in &members {
                assert_eq!(member.heartbeat(&mut sim), NONE, "seed {seed}");
            }
        }
        sim.settle();
        sim.check_all_answered();
        assert_eq!(sim.node.warnings, Vec::<String>::new());
    }
}

/// What is known of a group's offset.
#[derive(Debug, Default, Clone, Copy)]
struct Known {
    sent: i64,
    /// Largest that was acknowledged or fetched.
    safe: i64,
}

/// Takes in what was answered.
fn learn(
    sim: &mut Sim,
    calls: &mut Vec<(&'static str, i64, Call)>,
    known: &mut BTreeMap<&'static str, Known>,
) {
    calls.retain(|(group_id, offset, call)| {
        let known = known.entry(group_id).or_default();
        if *offset == FETCH {
            let Some(response) = sim.reply::<OffsetFetchResponse>(*call) else {
                return true;
            };
            let found = fetched(&response).unwrap().unwrap_or(0);
            assert!(found <= known.sent, "{group_id}: {found} was never sent");
            assert!(found >= known.safe, "{group_id}: {found} of {known:?}");
            known.safe = found;
        } else {
            let Some(response) = sim.reply::<OffsetCommitResponse>(*call) else {
                return true;
            };
            assert_eq!(response.topics[0].partitions[0].error_code, NONE);
            known.safe = known.safe.max(*offset);
        }
        false
    });
}

/// Marks a fetch among calls.
const FETCH: i64 = -1;

/// Returns how many commits were lost in crashes, and how many unacknowledged ones were kept.
fn commit_through_crashes(seed: u64) -> (i64, i64) {
    let mut sim = Sim::with(seed, options());
    let admin = sim.connect(0);
    let topic = sim.create(admin, "t", 1, &[]);
    find(&mut sim, admin);
    let mut known: BTreeMap<&'static str, Known> = BTreeMap::new();
    let (mut lost, mut kept) = (0, 0);
    for _ in 0..4 {
        // One connection for each group keeps its questions in order.
        let connections: Vec<usize> = (0..6u16).map(|index| sim.connect(index % 2)).collect();
        let mut calls = Vec::new();
        for _ in 0..sim.rng.below(60) {
            let index = usize::try_from(sim.rng.below(6)).unwrap();
            let (group_id, connection) = (GROUPS[index], connections[index]);
            if sim.rng.below(3) == 0 {
                calls.push((group_id, FETCH, send_fetch(&mut sim, connection, group_id)));
            } else {
                let entry = known.entry(group_id).or_default();
                entry.sent += 1;
                let offset = entry.sent;
                let call = send_commit(&mut sim, connection, group_id, topic, offset);
                calls.push((group_id, offset, call));
            }
            let steps = sim.rng.below(25);
            sim.run_steps(steps);
            learn(&mut sim, &mut calls, &mut known);
        }
        let power = sim.rng.below(2) == 0;
        sim.crash(power);
        let connection = sim.connect(1);
        for (group_id, known) in &mut known {
            let found = fetch(&mut sim, connection, group_id).unwrap().unwrap_or(0);
            assert!(
                found >= known.safe,
                "seed {seed} {group_id}: {found} of {known:?}"
            );
            assert!(
                found <= known.sent,
                "seed {seed} {group_id}: {found} of {known:?}"
            );
            lost += known.sent - found;
            kept += found - known.safe;
            *known = Known {
                sent: found,
                safe: found,
            };
        }
    }
    sim.settle();
    sim.check_all_answered();
    assert_eq!(sim.node.warnings, Vec::<String>::new());
    (lost, kept)
}

#[test]
fn what_was_told_of_offsets_stays_true_through_crashes() {
    let (mut lost, mut kept) = (0, 0);
    for seed in seeds(40) {
        let (more_lost, more_kept) = commit_through_crashes(seed);
        lost += more_lost;
        kept += more_kept;
    }
    assert!(lost > 20, "only {lost} commits were on their way");
    assert!(kept > 20, "only {kept} commits were durable and not told");
}

#[test]
fn nothing_is_told_of_a_commit_before_it_is_durable() {
    for seed in seeds(20) {
        let mut sim = Sim::with(seed, options());
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 1, &[]);
        find(&mut sim, one);
        let call = send_commit(&mut sim, one, "g0", topic, 1);
        assert_eq!(commit_error(&mut sim, call), NONE);
        sim.settle();
        sim.node.journal.held = true;
        let commit = send_commit(&mut sim, one, "g0", topic, 2);
        sim.settle();
        let fetching = send_fetch(&mut sim, other, "g0");
        sim.settle();
        assert!(
            !sim.answered(commit) && !sim.answered(fetching),
            "seed {seed}"
        );
        if seed % 2 == 0 {
            sim.crash(true);
            let connection = sim.connect(0);
            assert_eq!(
                fetch(&mut sim, connection, "g0"),
                Ok(Some(1)),
                "seed {seed}"
            );
        } else {
            sim.node.journal.held = false;
            assert_eq!(commit_error(&mut sim, commit), NONE);
            let response: OffsetFetchResponse = sim.wait(fetching);
            assert_eq!(fetched(&response), Ok(Some(2)), "seed {seed}");
        }
        sim.settle();
        sim.check_all_answered();
    }
}

#[test]
fn a_coordinator_says_that_it_loads_until_its_segments_are_read() {
    for seed in seeds(20) {
        let mut sim = Sim::with(seed, options());
        let one = sim.connect(0);
        let topic = sim.create(one, "t", 1, &[]);
        find(&mut sim, one);
        // More than one segment in each partition, with nothing in them that compaction takes.
        let ids: Vec<String> = (0..120).map(|number| format!("h{number}")).collect();
        for (id, offset) in ids.iter().zip(1..) {
            let call = send_commit(&mut sim, one, id, topic, offset);
            assert_eq!(commit_error(&mut sim, call), NONE);
        }
        sim.settle();
        sim.disk_held = true;
        sim.crash(seed % 2 == 0);
        let (one, other) = (sim.connect(0), sim.connect(1));
        for (id, connection) in ids.iter().zip([one, other, one, other, one, other]) {
            assert_eq!(fetch(&mut sim, connection, id), Err(LOADING), "seed {seed}");
            let call = send_commit(&mut sim, connection, id, topic, 1000);
            assert_eq!(commit_error(&mut sim, call), LOADING);
        }
        let member = Member::new(&mut sim, 0, "g0");
        let join = member.send_join(&mut sim);
        let refused: JoinGroupResponse = sim.wait(join);
        assert_eq!(refused.error_code, LOADING);
        // A member that was there before goes on as if nothing was.
        assert_eq!(member.heartbeat(&mut sim), NONE);
        sim.disk_held = false;
        let steps = sim.rng.below(12);
        sim.run_steps(steps);
        for (id, offset) in ids.iter().zip(1..).step_by(7) {
            let early = fetch(&mut sim, one, id);
            assert!(
                [Err(LOADING), Ok(Some(offset))].contains(&early),
                "seed {seed} {id}: {early:?}"
            );
        }
        sim.settle();
        for (id, offset) in ids.iter().zip(1..) {
            assert_eq!(fetch(&mut sim, other, id), Ok(Some(offset)), "seed {seed}");
        }
        sim.settle();
        sim.check_all_answered();
        assert_eq!(sim.node.warnings, Vec::<String>::new());
    }
}

#[test]
fn everybody_who_waits_hears_of_a_failed_journal() {
    for seed in seeds(20) {
        let mut sim = Sim::with(seed, options());
        let one = sim.connect(0);
        let topic = sim.create(one, "t", 1, &[]);
        find(&mut sim, one);
        let mut members: Vec<Member> = (0..4u16)
            .map(|index| Member::new(&mut sim, index % 2, GROUPS[usize::from(index)]))
            .collect();
        let joins: Vec<Call> = members
            .iter_mut()
            .map(|member| member.begin_join(&mut sim))
            .collect();
        sim.settle();
        assert!(joins.iter().all(|join| !sim.answered(*join)), "seed {seed}");
        sim.node.journal.fails = true;
        let commit = send_commit(&mut sim, one, "g5", topic, 1);
        sim.settle();
        assert_eq!(commit_error(&mut sim, commit), UNAVAILABLE, "seed {seed}");
        for join in joins {
            assert!(sim.answered(join), "seed {seed}: {join:?} hangs");
            let response: JoinGroupResponse = sim.wait(join);
            assert_eq!(response.error_code, UNAVAILABLE);
        }
        // Later ones are refused at once: nobody knows what the last records on disk are.
        assert_eq!(fetch(&mut sim, one, "g5"), Err(LOADING));
        let call = send_commit(&mut sim, one, "g1", topic, 1);
        assert_eq!(commit_error(&mut sim, call), UNAVAILABLE);
        sim.settle();
        sim.check_all_answered();
    }
}

#[test]
fn groups_end_with_the_topic_that_holds_them() {
    for seed in seeds(20) {
        let mut sim = Sim::with(seed, options());
        let one = sim.connect(0);
        let topic = sim.create(one, "t", 1, &[]);
        find(&mut sim, one);
        for group_id in GROUPS {
            let call = send_commit(&mut sim, one, group_id, topic, 7);
            assert_eq!(commit_error(&mut sim, call), NONE);
        }
        let mut member = Member::new(&mut sim, 1, "g0");
        let join = member.begin_join(&mut sim);
        sim.settle();
        let metadata = sim.metadata(one);
        let offsets = metadata.iter().find(|(name, ..)| name == OFFSETS_TOPIC);
        let offsets = Topic {
            name: OFFSETS_TOPIC,
            id: offsets.unwrap().1,
        };
        if seed % 2 == 0 {
            // Its coordinators are still being loaded.
            sim.disk_held = true;
            sim.crash(false);
        }
        let one = sim.connect(0);
        assert_eq!(sim.delete(one, offsets), NONE, "seed {seed}");
        if seed % 2 != 0 {
            let response: JoinGroupResponse = sim.wait(join);
            assert_eq!(response.error_code, NOT_COORDINATOR, "seed {seed}");
        }
        assert_eq!(fetch(&mut sim, one, "g0"), Err(NOT_COORDINATOR));
        find(&mut sim, one);
        sim.disk_held = false;
        sim.settle();
        for group_id in GROUPS {
            assert_eq!(fetch(&mut sim, one, group_id), Ok(None), "seed {seed}");
        }
        // Nothing of the old topic has come into the new one, by way of a read under way.
        assert_eq!(listed(&mut sim, one), 0, "seed {seed}");
        sim.settle();
        sim.check_all_answered();
        assert_eq!(sim.node.warnings, Vec::<String>::new());
    }
}

fn set_full(sim: &mut Sim, full: bool) {
    for shard in 0..sim.node.shard_count() {
        sim.node
            .push_to_shard(From::Journal, shard, ShardInput::DiskFull(full));
    }
    sim.settle();
}

#[test]
fn a_full_disk_refuses_commits_and_keeps_members() {
    for seed in seeds(10) {
        let mut sim = Sim::with(seed, options());
        let (one, other) = (sim.connect(0), sim.connect(1));
        let topic = sim.create(one, "t", 1, &[]);
        find(&mut sim, one);
        let mut members = [
            Member::new(&mut sim, 0, "g0"),
            Member::new(&mut sim, 1, "g0"),
        ];
        settle_group(&mut sim, &mut members);
        let joined = consumer_heartbeat(&mut sim, other, "new", 0);
        assert_eq!(joined.error_code, NONE);
        let call = send_commit(&mut sim, one, "g1", topic, 1);
        assert_eq!(commit_error(&mut sim, call), NONE);
        set_full(&mut sim, true);
        for _ in 0..5 {
            // Together longer than any session.
            sim.run_for(20_000);
            for member in &members {
                assert_eq!(member.heartbeat(&mut sim), NONE, "seed {seed}");
            }
            let epoch = joined.member_epoch;
            let kept = consumer_heartbeat(&mut sim, other, "new", epoch);
            assert_eq!(kept.error_code, NONE, "seed {seed}");
            let call = send_commit(&mut sim, one, "g1", topic, 2);
            assert_eq!(commit_error(&mut sim, call), UNAVAILABLE);
            assert_eq!(fetch(&mut sim, other, "g1"), Ok(Some(1)));
        }
        let newcomer = Member::new(&mut sim, 0, "g3");
        let call = newcomer.send_join(&mut sim);
        let refused: JoinGroupResponse = sim.wait(call);
        assert_eq!(refused.error_code, UNAVAILABLE);
        set_full(&mut sim, false);
        let call = send_commit(&mut sim, one, "g1", topic, 2);
        assert_eq!(commit_error(&mut sim, call), NONE);
        assert_eq!(fetch(&mut sim, other, "g1"), Ok(Some(2)));
        sim.settle();
        sim.check_all_answered();
    }
}
