"""Many groups, and one group of many members: how long until they have settled, and what they cost.

CHRONIK_GROUPS=1000   groups of ten members that join at once (default 200)
CHRONIK_MEMBERS=10000 members of the one large group (default 1,000)
CHRONIK_IDLE=50000    groups that only keep an offset (default 10,000)
"""

import asyncio
import os
import time
from pathlib import Path

import protocol
import pytest
from asking import Alone, Asker, wait_for_coordinators
from fleet import Fleet
from protocol import Identity

from clients import wire
from clients.harness import Broker
from clients.reading import create_topic

GROUPS = int(os.environ.get("CHRONIK_GROUPS", "200"))
MEMBERS = int(os.environ.get("CHRONIK_MEMBERS", "1000"))
IDLE = int(os.environ.get("CHRONIK_IDLE", "10000"))
MEMBERS_EACH = 10

DELAY_S = 3.0
# What settling may take beside the initial delay. The delay alone is waited for twice: members that come while a new
# group waits make it wait once more.
SETTLING_S = 10.0
LARGE_SETTLING_S = 60.0
DEADLINE_S = 100.0

# With room for what allocators keep back.
MOST_BYTES_PER_MEMBER = 24 << 10
MOST_BYTES_PER_IDLE_GROUP = 6 << 10
COMMITS_IN_FLIGHT = 50
KEPT_S = 7.0

DELAY = {"group.initial.rebalance.delay.ms": str(int(DELAY_S * 1000))}


@pytest.mark.chronik_only
def test_groups_that_join_at_once_settle(new_broker, record_property):
    broker = new_broker(properties=DELAY)
    broker.start()
    groups = [f"many-{number}" for number in range(GROUPS)]
    wait_for_coordinators(broker.port, groups[:100])
    count = GROUPS * MEMBERS_EACH

    async def run() -> None:
        async with Fleet(broker.port, groups, MEMBERS_EACH, metadata=bytes(40)) as fleet:
            before = resident_bytes(broker)
            seconds = await fleet.settle(DEADLINE_S)
            # Another round of heartbeats: nobody is to fall out afterwards.
            await asyncio.sleep(KEPT_S)
            fleet.check()
            each = (resident_bytes(broker) - before) / count
            record_property(
                "groups that join at once",
                f"{GROUPS} of {MEMBERS_EACH} members settled in {seconds:.1f} s, twice the initial delay of "
                f"{DELAY_S:g} s included; {each:.0f} bytes per member with its share of the group",
            )
            assert seconds < DELAY_S + SETTLING_S, f"{seconds:.1f} s"
            assert each < MOST_BYTES_PER_MEMBER

    asyncio.run(run())


def test_a_group_of_many_members_settles(new_broker, record_property):
    broker = new_broker(properties=DELAY)
    broker.start()
    wait_for_coordinators(broker.port, ["large", "small"])
    with Alone(broker.port, "small") as other:

        async def run() -> None:
            async with Fleet(broker.port, ["large"], MEMBERS) as fleet:
                seconds = await fleet.settle(DEADLINE_S)
                fleet.check()
                record_property("one large group", f"{MEMBERS} members settled in {seconds:.1f} s")
                assert seconds < DELAY_S + LARGE_SETTLING_S, f"{seconds:.1f} s"

        asyncio.run(run())
        assert other.is_well(), "a small group suffered from a large one"


@pytest.mark.chronik_only
def test_groups_that_only_keep_offsets_are_small(new_broker, topic: str, record_property):
    broker = new_broker()
    broker.start()
    create_topic(broker.bootstrap, topic)
    wait_for_coordinators(broker.port, [f"idle-{number}" for number in range(100)])
    commit_from_outside(broker, topic, range(1000))
    before = resident_bytes(broker)
    began = time.monotonic()
    commit_from_outside(broker, topic, range(1000, 1000 + IDLE))
    seconds = time.monotonic() - began
    each = (resident_bytes(broker) - before) / IDLE
    record_property(
        "groups that only keep an offset", f"{IDLE} made in {seconds:.1f} s, {each:.0f} bytes each, all memory counted"
    )
    assert each < MOST_BYTES_PER_IDLE_GROUP
    broker.restart()
    with Asker(broker.port) as asker:
        for number in (0, 999, IDLE // 2, 999 + IDLE):
            wait_for_coordinators(broker.port, [f"idle-{number}"])
            assert asker.fetch(f"idle-{number}", topic, 1) == (protocol.NONE, {0: number})


def commit_from_outside(broker: Broker, topic: str, numbers: range) -> None:
    """Group after group commits its own number, some of them always on their way."""
    with wire.Connection(broker.port, DEADLINE_S) as connection:
        open_questions = 0
        for number in numbers:
            body = protocol.commit(Identity(f"idle-{number}"), topic, {0: number})
            connection.send(wire.OFFSET_COMMIT, protocol.COMMIT_VERSION, number, body)
            open_questions += 1
            if open_questions == COMMITS_IN_FLIGHT:
                take_commit(connection)
                open_questions -= 1
        for _ in range(open_questions):
            take_commit(connection)


def take_commit(connection: wire.Connection) -> None:
    _number, body = connection.receive()
    assert protocol.parse_commit(body) == {0: protocol.NONE}


def resident_bytes(broker: Broker) -> int:
    """Resident memory of the broker's process."""
    status = Path(f"/proc/{broker.pid}/status").read_text()
    (line,) = (line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) << 10
