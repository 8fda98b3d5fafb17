"""Writes and syncs that fail or are slow, under clients of all kinds.

A failure ends acknowledgements at once and for good, reads go on, and a restart brings back what was promised. Slowness
changes nothing but the time. The faults come from strace.
"""

import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest
from confluent_kafka import Producer
from injecting import SYNCS, WRITES, FailingCalls, SlowCalls
from load import PROPERTIES, Load, read_topics
from test_journal_failure import ready

from clients.deadline import Deadline, wait_until
from clients.harness import STOP_DEADLINE_S, Broker

pytestmark = pytest.mark.chronik_only

FAILURE_DEADLINE_S = 60.0
# Answers of before the failure are in when none came for so long; those that must not be given would come behind it.
QUIET_S, WATCHED_S = 0.5, 1.0
SLOW_FOR_S = 1.5
LARGE_SEGMENT_BYTES = 1 << 30
# Those of the durable topics are written once a part of the journal is.
SEGMENTS = 9
# Of the time between a call and its return, as strace sees it.
CLOCK_SLACK_S = 0.005


def rings(broker: Broker) -> list[Path]:
    return sorted((broker.data_dir / "journal").iterdir())


def segments(broker: Broker) -> list[Path]:
    return sorted((broker.data_dir / "topics").glob("*/*.log"))


def all_files(_broker: Broker) -> list[Path]:
    """No choice: strace sees the calls on every file."""
    return []


class Failure(NamedTuple):
    """Which calls fail, from which one on."""

    files: Callable[[Broker], list[Path]]
    calls: str
    fault: str
    # What readiness names: the file where it is known.
    named: str


FAILURES = {
    "journal write 1": Failure(rings, WRITES, "error=EIO:when=1", "journal/"),
    "journal write 5": Failure(rings, WRITES, "error=EIO:when=5", "journal/"),
    "journal write 50": Failure(rings, WRITES, "error=EIO:when=50", "journal/"),
    "journal write without space": Failure(rings, WRITES, "error=ENOSPC:when=3", "journal/"),
    "segment write 1": Failure(segments, WRITES, "error=EIO:when=1", "topics/"),
    "segment write 3": Failure(segments, WRITES, "error=EIO:when=3", "topics/"),
    "sync 1": Failure(all_files, SYNCS, "error=EIO:when=1", ""),
    "sync 4": Failure(all_files, SYNCS, "error=EIO:when=4", ""),
    "every sync": Failure(all_files, SYNCS, "error=EIO", ""),
}


@pytest.mark.parametrize("failure", FAILURES.values(), ids=FAILURES.keys())
def test_a_failure_ends_acknowledgements_and_a_restart_heals(new_broker, topic: str, failure: Failure):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    # One file for each partition, so that those of now are those of later.
    with Load(broker, topic, segment_bytes=LARGE_SEGMENT_BYTES) as load:
        load.heavy = True
        load.wait_for_work()
        load.wait_for("segments", lambda: len(segments(broker)) >= SEGMENTS)
        with FailingCalls(broker, failure.files(broker), failure.calls, failure.fault):
            load.wait_for("the failure", lambda: ready(broker)[0] == 503, FAILURE_DEADLINE_S)
            sent_before = [len(sender.sent) for sender in load.senders]
            assert failure.named in ready(broker)[1]
            wait_quiet(load)
            acked, commits = load.acked, load.group.commits
            wait_over(load, WATCHED_S)
            assert load.acked == acked, "acknowledged behind a failure"
            for sender, before in zip(load.senders, sent_before):
                assert not any(sender.acks[before:]), f"{sender.topic}: sent and acknowledged behind a failure"
            assert load.group.commits == commits, "a commit was confirmed behind a failure"
        promised = load.promised()
        load.check_ends(promised)
        check_readable(load, promised)
        load.heavy = False
        stop_in_vain(broker)
        broker.start()

        load.check_ends(promised)
        wait_until("readiness", FAILURE_DEADLINE_S, lambda: ready(broker)[0] == 200)
        load.wait_for_work()
        load.finish()


class Slowness(NamedTuple):
    """Which calls take longer, and how."""

    files: Callable[[Broker], list[Path]]
    calls: str
    where: str
    seconds: float


SLOWNESSES = {
    "journal writes 10 ms": Slowness(rings, WRITES, "enter", 0.01),
    "journal writes 100 ms late": Slowness(rings, WRITES, "exit", 0.1),
    "journal writes 500 ms": Slowness(rings, WRITES, "enter", 0.5),
    "all writes 50 ms": Slowness(all_files, WRITES, "enter", 0.05),
    "syncs 300 ms": Slowness(all_files, SYNCS, "enter", 0.3),
    "syncs 100 ms late": Slowness(all_files, SYNCS, "exit", 0.1),
}


@pytest.mark.parametrize("slowness", SLOWNESSES.values(), ids=SLOWNESSES.keys())
def test_slow_calls_cost_time_only(new_broker, topic: str, slowness: Slowness):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    with Load(broker, topic) as load:
        load.heavy = slowness.calls == SYNCS
        load.wait_for_work()
        with SlowCalls(broker, slowness.files(broker), slowness.calls, slowness.where, slowness.seconds) as slow:
            load.wait_for("a slow call", slow.happened)
            wait_over(load, SLOW_FOR_S)
            acked = load.acked
            load.wait_for("acknowledgements from a slow disk", lambda: load.acked > acked)
            if slowness.calls == WRITES:
                assert acknowledged_after_s(broker, load.topics[0] + "-timed") >= slowness.seconds - CLOCK_SLACK_S
            # Dies while calls are on their way.
            promised = load.promised()
            broker.kill9()
        load.heavy = False
        broker.start()

        load.check_ends(promised)
        load.wait_for_work()
        load.finish()


def acknowledged_after_s(broker: Broker, topic: str) -> float:
    """How long one record waits for its acknowledgement, once its topic and the connection are there."""
    errors = []
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 0})
    for _ in range(2):
        began = time.monotonic()
        producer.produce(topic, b"value", on_delivery=lambda error, _message: errors.append(error))
        assert producer.flush(FAILURE_DEADLINE_S) == 0
    assert errors == [None, None], errors
    return time.monotonic() - began


def wait_over(load: Load, seconds: float) -> None:
    """Lets the clients work, or try to, for so long."""
    over = Deadline(seconds)
    load.wait_for("the time to be over", over.expired)


def stop_in_vain(broker: Broker) -> None:
    """SIGTERM ends the process, which does not claim that all is well."""
    broker.process.send_signal(signal.SIGTERM)
    assert broker.process.wait(STOP_DEADLINE_S) > 0
    broker.kill9()
    assert not (broker.data_dir / "clean-shutdown").exists()


def wait_quiet(load: Load) -> None:
    """What was answered before the failure has reached the clients: nothing more comes for a while."""
    last, since = load.acked + load.group.commits, Deadline(QUIET_S)

    def quiet() -> bool:
        nonlocal last, since
        now = load.acked + load.group.commits
        if now != last:
            last, since = now, Deadline(QUIET_S)
        return since.expired()

    load.wait_for("the last answers", quiet, FAILURE_DEADLINE_S)


def check_readable(load: Load, promised: dict[str, list[int]]) -> None:
    """A consumer that comes now gets everything that was promised, as the one before got it."""
    stored = read_topics(load.broker.bootstrap, promised)
    for topic, ends in promised.items():
        there = [len(entries) for entries in stored[topic]]
        assert all(got >= end for got, end in zip(there, ends)), f"{topic}: {there} can be read of {ends}"
    load.compare_seen(stored)
