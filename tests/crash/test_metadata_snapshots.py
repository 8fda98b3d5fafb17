"""Snapshots of the metadata: they bound its log, SIGKILL in the middle of one loses no topic, damage is passed over."""

import os
import random
from concurrent.futures import Future
from pathlib import Path

import pytest
from confluent_kafka import KafkaException
from confluent_kafka.admin import NewTopic
from killing import Assassin
from refusing import refusal

from clients.deadline import Deadline, wait_until
from clients.harness import Broker
from clients.reading import ADMIN_DEADLINE_S, admin, create_topic

pytestmark = pytest.mark.chronik_only

# A topic of one partition is about 150 bytes of records.
PROPERTIES = {
    "chronik.journal.bytes": str(32 << 20),
    "metadata.log.max.record.bytes.between.snapshots": "3000",
}
ROUNDS = int(os.environ.get("CHRONIK_ROUNDS", "6"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
IN_FLIGHT = 20
ROUND_DEADLINE_S = 60.0
SNAPSHOT_DEADLINE_S = 10.0
TOPICS = 150


def test_sigkill_in_a_snapshot_loses_no_topic(new_broker, record_property):
    chance = random.Random(SEED)
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    # A life that ended in peace leaves the directory of the metadata log.
    broker.restart()
    created: set[str] = set()
    for number in range(ROUNDS):
        create_topic(broker.bootstrap, f"first-{number}")
        created.add(f"first-{number}")
        assassin = Assassin("snapshot", broker.data_dir, chance.randrange(4_000))
        assassin.name_victim(broker)
        created |= create_until(broker, number, assassin)
        assert assassin.reap(broker), "no snapshot came"
        broker.start()

        assert created <= topics(broker)
        assert not list(broker.data_dir.glob("metadata/*.tmp"))
    fill(broker, "last")
    created |= {f"last-{number}" for number in range(TOPICS)}
    wait_until("the log to be trimmed", SNAPSHOT_DEADLINE_S, lambda: is_trimmed(broker))
    broker.restart()
    assert created <= topics(broker)
    record_property("metadata snapshots", f"{ROUNDS} kills in one, {len(created)} topics kept")


def test_a_start_passes_over_a_damaged_snapshot_and_refuses_two(new_broker):
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    fill(broker, "t")
    wait_until("the log to be trimmed", SNAPSHOT_DEADLINE_S, lambda: is_trimmed(broker))
    broker.stop()
    _, newer = snapshots(broker)
    damage(newer)
    broker.start()

    assert {f"t-{number}" for number in range(TOPICS)} <= topics(broker)
    assert newer.name in broker.stderr()
    # The log has enough for another one, which takes the place of the damaged one.
    replaced = lambda: not newer.exists() and is_trimmed(broker)
    wait_until("the damaged one to be replaced", SNAPSHOT_DEADLINE_S, replaced)
    broker.kill9()
    older, newer = snapshots(broker)
    damage(older)
    damage(newer)
    said = refusal(broker)
    assert newer.name in said and "restore the file" in said, said


def fill(broker: Broker, prefix: str) -> None:
    client = admin(broker.bootstrap)
    new = [NewTopic(f"{prefix}-{number}", 1, 1) for number in range(TOPICS)]
    for one in new:
        # One by one: each is an entry of its own.
        client.create_topics([one])[one.topic].result(ADMIN_DEADLINE_S)


def create_until(broker: Broker, round_number: int, assassin: Assassin) -> set[str]:
    """Creates topics until the broker is killed, and returns those that were confirmed."""
    deadline = Deadline(ROUND_DEADLINE_S)
    client = admin(broker.bootstrap)
    under_way: dict[str, Future] = {}
    created, number = set(), 0
    while not assassin.struck():
        deadline.check("a snapshot")
        while len(under_way) < IN_FLIGHT:
            name = f"t-{round_number}-{number}"
            number += 1
            under_way |= client.create_topics([NewTopic(name, 1, 1)], request_timeout=5.0)
        client.poll(0.001)
        for name in [name for name, future in under_way.items() if future.done()]:
            future = under_way.pop(name)
            if future.exception() is None:
                created.add(name)
    for name, future in under_way.items():
        try:
            future.result(ADMIN_DEADLINE_S)
            created.add(name)
        except KafkaException:
            pass
    return created


def topics(broker: Broker) -> set[str]:
    return set(admin(broker.bootstrap).list_topics(timeout=ADMIN_DEADLINE_S).topics)


def snapshots(broker: Broker) -> list[Path]:
    return sorted((broker.data_dir / "metadata").glob("*.checkpoint"))


def is_trimmed(broker: Broker) -> bool:
    """The first segment of the log is gone, and two snapshots are there."""
    segments = [path.stem for path in (broker.data_dir / "metadata").glob("*.log")]
    return len(snapshots(broker)) == 2 and f"{0:020}" not in segments


def damage(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
