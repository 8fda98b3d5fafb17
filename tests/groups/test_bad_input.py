"""Members that lie, ask for too much or too often: each is refused with Kafka's code, and nobody else suffers."""

import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import protocol
import pytest
from asking import Alone, Asker, wait_for_coordinators
from protocol import Identity

from clients.harness import Broker, die_with_parent
from clients.reading import create_topic

HERE = Path(__file__).parent
BYSTANDERS = "bystanders"
# A string has at most so many bytes, also where its length has room for more.
LONGEST = 32_767
# A million times a letter when compiled; Kafka compiles it.
EXPLOSIVE = "((a{100}){100}){100}"

BEATS = 1000
STORM_CONNECTIONS = 8
# Median heartbeat under the storm against that without, which is taken for at least so long.
MOST_TIMES_SLOWER = 40
CALM_AT_LEAST_S = 0.001


@pytest.fixture(scope="module")
def group_broker(eager_broker: Broker) -> Broker:
    wait_for_coordinators(eager_broker.port, [BYSTANDERS])
    return eager_broker


@pytest.fixture
def bystander(group_broker: Broker, topic: str) -> Iterator[Alone]:
    """An honest member of another group, which must not notice anything."""
    create_topic(group_broker.bootstrap, topic)
    with Alone(group_broker.port, f"{BYSTANDERS}-{topic}") as honest:
        yield honest
        assert honest.is_well(), "a bystander lost its membership"
        assert honest.commit(honest.who, topic, {0: 7}) == {0: protocol.NONE}


@pytest.fixture
def member(group_broker: Broker, topic: str, bystander: Alone) -> Iterator[Alone]:
    """The member whose name is used."""
    with Alone(group_broker.port, f"lied-about-{topic}") as alone:
        yield alone
        assert alone.is_well(), "a member lost its membership to somebody's lies"


LIES = {
    "another group": (lambda who: who._replace(group="nowhere"), protocol.UNKNOWN_MEMBER_ID),
    "another member": (lambda who: who._replace(member="somebody"), protocol.UNKNOWN_MEMBER_ID),
    "no member": (lambda who: who._replace(member=""), protocol.UNKNOWN_MEMBER_ID),
    "a later generation": (lambda who: who._replace(generation=who.generation + 1), protocol.ILLEGAL_GENERATION),
    "an earlier generation": (lambda who: who._replace(generation=who.generation - 1), protocol.ILLEGAL_GENERATION),
    "the largest generation": (lambda who: who._replace(generation=2**31 - 1), protocol.ILLEGAL_GENERATION),
}


@pytest.mark.parametrize("lie", LIES)
def test_who_lies_about_itself_is_refused(group_broker: Broker, member: Alone, topic: str, lie: str):
    twist, expected = LIES[lie]
    who = twist(member.who)
    with Asker(group_broker.port) as asker:
        assert asker.heartbeat(who) == expected
        assert asker.sync(who, {who.member: b"mine"})[0] == expected
        commit = asker.commit(who, topic, {0: 666})
        # A commit of an unknown group by a member of a generation: Kafka calls the generation unknown.
        assert commit == {0: protocol.ILLEGAL_GENERATION if lie == "another group" else expected}
        assert asker.fetch(member.who.group, topic, 1) == (protocol.NONE, {}), "a refused commit is there"


def test_an_outsider_does_not_commit_for_a_group_with_members(group_broker: Broker, member: Alone, topic: str):
    with Asker(group_broker.port) as asker:
        outsider = Identity(member.who.group)
        assert asker.commit(outsider, topic, {0: 666}) == {0: protocol.UNKNOWN_MEMBER_ID}


def test_an_assignment_for_strangers_reaches_nobody(group_broker: Broker, bystander: Alone, topic: str):
    group = f"strangers-{topic}"
    with Asker(group_broker.port) as leader:
        first = leader.join(group)
        joined = leader.join(group, member=first.member)
        who = Identity(group, joined.generation, joined.member)
        everybody = {"stranger": b"theirs", bystander.who.member: b"theirs"}
        assert leader.sync(who, everybody) == (protocol.NONE, b""), "whoever is not named gets nothing"
        assert leader.heartbeat(who) == protocol.NONE


def test_joins_that_do_not_fit_are_refused(group_broker: Broker, member: Alone):
    with Asker(group_broker.port) as asker:
        group = member.who.group
        assert asker.join("").error == protocol.INVALID_GROUP_ID
        assert asker.join(group, member="somebody").error == protocol.UNKNOWN_MEMBER_ID
        assert asker.join(group, protocol_type="connect").error == protocol.INCONSISTENT_GROUP_PROTOCOL
        for timeout_ms in (0, -1, 5_999, 1_800_001, 2**31 - 1):
            refused = asker.join(group, session_timeout_ms=timeout_ms)
            assert refused.error == protocol.INVALID_SESSION_TIMEOUT, timeout_ms


def test_commits_that_can_not_be_kept_are_refused(group_broker: Broker, member: Alone, topic: str):
    who = member.who
    with Asker(group_broker.port) as asker:
        # Each partition for itself: what is right is kept.
        errors = asker.commit(who, topic, {0: 1, 1: 1, -1: 1, 2**31 - 1: 1})
        unknown = protocol.UNKNOWN_TOPIC_OR_PARTITION
        assert errors == {0: protocol.NONE, 1: unknown, -1: unknown, 2**31 - 1: unknown}
        assert asker.commit(who, "no-such-topic", {0: 1}) == {0: unknown}
        assert asker.commit(who, topic, {0: 2}, metadata="m" * 4_096) == {0: protocol.NONE}
        assert asker.commit(who, topic, {0: 3}, metadata="m" * 4_097) == {0: protocol.OFFSET_METADATA_TOO_LARGE}
        assert asker.long_commit(who, topic, 0, 3, "m" * LONGEST) == protocol.OFFSET_METADATA_TOO_LARGE
        assert asker.long_commit(who, topic, 0, 4, "short") == protocol.NONE
        assert asker.fetch(who.group, topic, 1) == (protocol.NONE, {0: 4})


def test_metadata_that_is_no_string_ends_the_connection(group_broker: Broker, member: Alone, topic: str):
    with Asker(group_broker.port) as asker, pytest.raises(ConnectionError):
        asker.long_commit(member.who, topic, 0, 3, "m" * (1 << 20))
    with Asker(group_broker.port) as asker:
        assert asker.fetch(member.who.group, topic, 1) == (protocol.NONE, {})


@pytest.mark.parametrize("pattern", ["(", "a**(", "*", pytest.param(EXPLOSIVE, marks=pytest.mark.chronik_only)])
def test_a_pattern_that_is_none_is_refused_in_no_time(group_broker: Broker, bystander: Alone, topic: str, pattern: str):
    with Asker(group_broker.port) as asker:
        began = time.monotonic()
        error = asker.consumer_heartbeat(f"patterns-{topic}", "11111111-2222", 0, pattern)
        assert error == protocol.INVALID_REGULAR_EXPRESSION
        assert time.monotonic() - began < 5.0


def test_a_dear_pattern_is_matched_in_no_time(group_broker: Broker, bystander: Alone, topic: str):
    """Exponential for an engine that goes back and forth, linear for ours and Kafka's."""
    name = "a" * 60 + topic
    create_topic(group_broker.bootstrap, name)
    with Asker(group_broker.port) as asker:
        began = time.monotonic()
        assert asker.consumer_heartbeat(f"dear-{topic}", "11111111-3333", 0, "(a|aa|a?)+b") == protocol.NONE
        assert time.monotonic() - began < 5.0


def test_a_storm_of_heartbeats_does_not_starve_others(
    group_broker: Broker, bystander: Alone, topic: str, record_property
):
    calm = beats(bystander)
    with storm(group_broker.port, f"stormy-{topic}"):
        stormy = beats(bystander)
    ratio = statistics.median(stormy) / max(statistics.median(calm), CALM_AT_LEAST_S)
    record_property("heartbeat in a calm", figures(calm))
    record_property("heartbeat beside a storm", figures(stormy))
    assert ratio < MOST_TIMES_SLOWER


def beats(member: Alone) -> list[float]:
    """Seconds that each of many heartbeats takes."""
    seconds = []
    for _ in range(BEATS):
        began = time.monotonic()
        assert member.is_well()
        seconds.append(time.monotonic() - began)
    return seconds


def figures(seconds: list[float]) -> str:
    hundredths = [1000 * bound for bound in statistics.quantiles(seconds, n=100)]
    return f"median {hundredths[49]:.2f} ms, 99 of 100 within {hundredths[-1]:.2f} ms"


@contextmanager
def storm(port: int, group: str) -> Iterator[None]:
    """Another process that sends heartbeats of a group without end."""
    command = [sys.executable, str(HERE / "storm.py"), str(port), group, str(STORM_CONNECTIONS)]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    environment = {"PYTHONPATH": str(HERE.parent)}
    with subprocess.Popen(command, env=environment, preexec_fn=die_with_parent, **pipes) as process:
        assert process.stdout.readline() == b"storming\n"
        yield
        assert process.poll() is None, "the storm ended by itself"
        process.stdin.close()
        process.wait(10)
