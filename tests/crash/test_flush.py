"""`flush.ms` as the kernel sees it: a segment is synced in time, and not without need."""

import time

import pytest
from confluent_kafka import Producer
from injecting import SYNCS, Strace

from clients.deadline import wait_until
from clients.reading import create_topic

pytestmark = pytest.mark.chronik_only

FLUSH_MS = 500
# Timers, threads and strace itself.
SLACK_S = 1.0
QUIET_S = 2.5 * FLUSH_MS / 1000
FLUSH_DEADLINE_S = 20.0
ROUNDS = 4


def test_flush_ms_syncs_in_time_and_only_what_was_written(new_broker, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, "timed", config={"flush.messages": "100000", "flush.ms": str(FLUSH_MS)})
    create_topic(broker.bootstrap, "never", config={"flush.messages": "100000"})
    producer = Producer({"bootstrap.servers": broker.bootstrap, "acks": "all", "linger.ms": 0})
    acknowledge(producer, "timed", "never")
    time.sleep(QUIET_S)
    waits = []
    with Strace(broker, ["-e", f"trace={SYNCS}"]) as strace:
        for number in range(ROUNDS):
            before = len(syncs(strace, "timed"))
            assert before == number, "synced without need"
            acknowledge(producer, "timed", "never")
            written = time.time()
            wait_until("a sync", FLUSH_DEADLINE_S, lambda before=before: len(syncs(strace, "timed")) > before)
            waits.append(syncs(strace, "timed")[-1] - written)
            time.sleep(QUIET_S)
        assert len(syncs(strace, "timed")) == ROUNDS
        assert syncs(strace, "never") == []
    assert max(waits) < FLUSH_MS / 1000 + SLACK_S, waits
    # The records of a write wait for others before they are synced.
    assert min(waits) > FLUSH_MS / 1000 / 2, waits
    record_property(f"flush.ms={FLUSH_MS}", f"synced after {min(waits):.2f} to {max(waits):.2f} s")


def acknowledge(producer: Producer, *topics: str) -> None:
    errors = []
    for topic in topics:
        producer.produce(topic, b"value", on_delivery=lambda error, _message: errors.append(error))
    assert producer.flush(FLUSH_DEADLINE_S) == 0
    assert errors == [None] * len(topics)


def syncs(strace: Strace, topic: str) -> list[float]:
    """When segment files of a topic were synced."""
    called = [line for line in strace.lines() if f"/topics/{topic}-0" in line and ".log>" in line]
    return [float(line.split()[1]) for line in called]
