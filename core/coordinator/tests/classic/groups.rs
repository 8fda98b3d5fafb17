//! DescribeGroups, ListGroups and DeleteGroups.

use bytes::Bytes;
use chronik_coordinator::GroupConfig;
use chronik_model::ErrorCode;

use crate::bench::{Bench, commit, join, no_member, static_join, subscription};

/// "empty" keeps offsets only, "stable" has a member, "joining" waits.
fn three() -> Bench {
    let mut bench = Bench::new(GroupConfig::default());
    bench.commit(commit("empty", no_member(), &[("t", 0, 1), ("t", 1, 2)]));
    bench.stable("stable", vec![static_join("stable", "i")]);
    bench.join(join("joining"));
    bench
}

#[test]
fn groups_are_described() {
    let mut bench = three();
    let stable = bench.describe("stable");
    assert_eq!((stable.error, stable.state), (ErrorCode::None, "Stable"));
    assert_eq!(
        (stable.protocol_type.as_str(), stable.protocol.as_str()),
        ("consumer", "range")
    );
    let member = &stable.members[0];
    assert_eq!(member.group_instance_id.as_deref(), Some("i"));
    assert_eq!(
        (member.client_id.as_str(), member.client_host.as_str()),
        ("client", "/127.0.0.1")
    );
    assert_eq!(member.metadata, subscription(&["t"]));
    assert_eq!(member.assignment, Bytes::from(member.member_id.clone()));

    let joining = bench.describe("joining");
    assert_eq!(
        (joining.state, joining.protocol.as_str()),
        ("PreparingRebalance", "")
    );
    assert!(joining.members[0].metadata.is_empty());
    let empty = bench.describe("empty");
    assert_eq!(
        (empty.error, empty.state, empty.members.len()),
        (ErrorCode::None, "Empty", 0)
    );
    let none = bench.describe("none");
    assert_eq!(
        (none.error, none.state),
        (ErrorCode::GroupIdNotFound, "Dead")
    );
    assert!(none.error_message.is_some());
}

#[test]
fn groups_are_listed_by_state_and_type() {
    let mut bench = three();
    let mut check = |states: &[&str], types: &[&str], expected: &[&str]| {
        let listed = bench.list(states, types);
        let ids: Vec<&str> = listed.iter().map(|group| group.group_id.as_str()).collect();
        assert_eq!(ids, expected, "{states:?} {types:?}");
    };
    check(&[], &[], &["empty", "joining", "stable"]);
    check(&["Stable"], &[], &["stable"]);
    check(&["sTABLE", " empty "], &[], &["empty", "stable"]);
    check(&["preparingrebalance"], &["CLASSIC"], &["joining"]);
    check(&[], &["Classic"], &["empty", "joining", "stable"]);
    check(&[], &["consumer"], &[]);
    check(&["Dead"], &[], &[]);
    let listed = bench.list(&["empty"], &[]);
    assert_eq!(
        (listed[0].protocol_type.as_str(), listed[0].group_type),
        ("", "classic")
    );
    let listed = bench.list(&["stable"], &[]);
    assert_eq!(listed[0].protocol_type, "consumer");
}

#[test]
fn groups_without_members_are_deleted_with_their_offsets() {
    let mut bench = three();
    assert_eq!(bench.delete("stable"), ErrorCode::NonEmptyGroup);
    assert_eq!(bench.delete("joining"), ErrorCode::NonEmptyGroup);
    assert_eq!(bench.delete("none"), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.delete("empty"), ErrorCode::None);
    assert_eq!(bench.delete("empty"), ErrorCode::GroupIdNotFound);
    assert_eq!(bench.offsets("empty"), []);
    assert_eq!(bench.state("empty"), "Dead");
    let mut loaded = bench.reloaded();
    assert_eq!(loaded.state("empty"), "Dead");
    assert_eq!(loaded.offsets("empty"), []);
    bench.check_replay();
}

#[test]
fn a_deleted_group_can_be_made_again() {
    let mut bench = three();
    bench.delete("empty");
    let waiter = bench.join(join("empty"));
    bench.pass(3_000);
    assert_eq!(bench.joined(waiter).generation_id, 1);
}
