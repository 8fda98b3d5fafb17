"""Segment files that can not be written: EIO ends acknowledgements, ENOSPC only delays the segments.

The failures come from strace.
"""

from pathlib import Path

import pytest
from confluent_kafka import KafkaError
from filled import PARTITIONS, PROPERTIES, TOPIC
from injecting import WRITES, FailingCalls
from test_journal_failure import produce, ready

from clients.deadline import wait_until
from clients.harness import Broker
from clients.producing import Sent, assert_kept
from clients.reading import create_topic, read_partitions

pytestmark = pytest.mark.chronik_only

SPACE_DEADLINE_S = 20.0
# More than a partition keeps to itself before it is written back.
FIRST_RECORDS = 20_000
FAULTS_WITHOUT_SPACE = 4


@pytest.fixture
def broker_with_segments(new_broker) -> tuple[Broker, list[Sent], list[tuple[int, int] | None]]:
    """A broker all of whose partitions have a segment file, and what was sent to it."""
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    create_topic(broker.bootstrap, TOPIC, PARTITIONS)
    sent: list[Sent] = []
    acks: list[tuple[int, int] | None] = []
    assert set(produce(broker, sent, acks, lambda outcomes: len(outcomes) >= FIRST_RECORDS)) == {None}
    assert len(segments(broker)) == PARTITIONS
    return broker, sent, acks


def test_a_failed_segment_write_ends_acknowledgements(broker_with_segments):
    broker, sent, acks = broker_with_segments
    with failing(broker, "error=EIO"):
        outcomes = produce(broker, sent, acks, lambda outcomes: any(outcomes))
    assert set(outcomes) <= {None, KafkaError.KAFKA_STORAGE_ERROR, KafkaError._MSG_TIMED_OUT}
    after = produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 200)
    assert set(after) <= {KafkaError.KAFKA_STORAGE_ERROR, KafkaError._MSG_TIMED_OUT}
    status, body = ready(broker)
    assert status == 503 and "topics/" in body, f"{status} {body}"
    # Reads go on.
    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
    broker.kill9()
    broker.start()

    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
    assert set(produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 50)) == {None}


@pytest.mark.parametrize("killed", [False, True], ids=["heals", "killed"])
def test_a_segment_without_space_is_written_later(broker_with_segments, killed: bool):
    broker, sent, acks = broker_with_segments
    when = "" if killed else f":when=1..{FAULTS_WITHOUT_SPACE}"
    with failing(broker, f"error=ENOSPC{when}"):
        outcomes = produce(broker, sent, acks, lambda outcomes: any(outcomes))
        assert set(outcomes) <= {None, KafkaError.KAFKA_STORAGE_ERROR, KafkaError._MSG_TIMED_OUT}
        assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
        if killed:
            broker.kill9()
        else:
            healed = lambda: set(produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 50)) == {None}
            wait_until("produce to be taken again", SPACE_DEADLINE_S, healed)
            assert ready(broker)[0] == 200
    if not killed:
        assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
        broker.stop()
        assert (broker.data_dir / "clean-shutdown").exists()
    broker.start()

    assert_kept(sent, acks, read_partitions(broker.bootstrap, TOPIC, PARTITIONS))
    assert set(produce(broker, sent, acks, lambda outcomes: len(outcomes) >= 50)) == {None}


def failing(broker: Broker, fault: str) -> FailingCalls:
    return FailingCalls(broker, segments(broker), WRITES, fault)


def segments(broker: Broker) -> list[Path]:
    return sorted((broker.data_dir / "topics").glob(f"{TOPIC}-*/*.log"))
