"""A server killed again and again as soon as it runs, or before: it listens again in time, every time.

The directory holds many topics and groups, so that there is something to open at each start, and clients knock all the
while. CHRONIK_RESTARTS is the number of kills; 200 is the full length.
"""

import os
import random
import time

import pytest
from asking import Asker, wait_for_coordinators
from confluent_kafka.admin import NewTopic
from load import PROPERTIES, Load
from protocol import NONE, Identity
from senders import IDEMPOTENT, UNASKED

from clients.deadline import Deadline
from clients.harness import Broker
from clients.reading import ADMIN_DEADLINE_S, admin

pytestmark = pytest.mark.chronik_only

RESTARTS = int(os.environ.get("CHRONIK_RESTARTS", "20"))
SEED = int(os.environ.get("CHRONIK_SEED", "1"))
TOPICS = 150
GROUPS = 60
PARTITIONS_EACH = 2
SHORTEST_S, LONGEST_S = 0.01, 0.3
LISTENING_LIMIT_S = 5.0


def test_a_killed_server_listens_again(new_broker, topic: str, record_property):
    chance = random.Random(SEED)
    broker = new_broker(properties=PROPERTIES)
    broker.start()
    topics = fill(broker, topic)
    waits = []
    with Load(broker, topic, kinds=(IDEMPOTENT, UNASKED)) as load:
        load.wait_for_work()
        for _ in range(RESTARTS):
            broker.kill9()
            if chance.random() < 0.5:
                # Dies before or while it recovers, or at its first requests.
                broker.spawn()
                live(load, chance)
                broker.kill9()
            broker.ready_deadline_s = LISTENING_LIMIT_S
            waits.append(broker.start())
            live(load, chance)
        load.finish()
    check_filled(broker, topics)
    record_property(
        f"{RESTARTS} restarts",
        f"listening after {max(waits) * 1000:.0f} ms at most, {sum(waits) / len(waits) * 1000:.0f} on average",
    )


def live(load: Load, chance: random.Random) -> None:
    """Lets the server run for a short time."""
    began, seconds = time.monotonic(), chance.uniform(SHORTEST_S, LONGEST_S)
    over = Deadline(seconds)
    load.wait_for("a random moment", over.expired)
    assert time.monotonic() - began >= seconds


def fill(broker: Broker, prefix: str) -> list[str]:
    """Many topics, and many groups that have committed an offset of each one's own."""
    topics = [f"{prefix}-{number}" for number in range(TOPICS)]
    client = admin(broker.bootstrap)
    made = client.create_topics([NewTopic(name, PARTITIONS_EACH, 1) for name in topics])
    for future in made.values():
        future.result(ADMIN_DEADLINE_S)
    wait_for_coordinators(broker.port, groups())
    with Asker(broker.port) as asker:
        for number, group in enumerate(groups()):
            assert asker.commit(Identity(group), topics[number], {0: number, 1: number}) == {0: NONE, 1: NONE}
    return topics


def check_filled(broker: Broker, topics: list[str]) -> None:
    """All topics are there, and what the groups committed."""
    assert set(topics) <= set(admin(broker.bootstrap).list_topics(timeout=ADMIN_DEADLINE_S).topics)
    with Asker(broker.port) as asker:
        for number, group in enumerate(groups()):
            assert asker.fetch(group, topics[number], PARTITIONS_EACH) == (NONE, {0: number, 1: number})


def groups() -> list[str]:
    return [f"group-{number}" for number in range(GROUPS)]
